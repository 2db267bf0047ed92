/* What a worker may take of the machine. */
#ifndef JOB_LIMITS_H
#define JOB_LIMITS_H

/*
 * In a worker, before its job. Memory: half of the machine's, at least 512 MiB, at most 4 GiB; what goes wrong in one job (a leak, a server that found a gap in our limits) ends that job with
 * "out of memory", and does not take the others along. Descriptors: 4096, twice what a job has use for. Its helpers have what they would have without it. Core dumps are off already (secret_harden).
 */
void limits_set(void);

#endif
