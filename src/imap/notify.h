/* NOTIFY (RFC 5465): one command, after which the server tells by itself what happens in all folders. */
#ifndef IMAP_NOTIFY_H
#define IMAP_NOTIFY_H

#include "imap/conn.h"

/*
 * From now on: of every folder of the personal namespaces STATUS, when messages come, go, or get other
 * flags (with HIGHESTMODSEQ where CONDSTORE is enabled), and LIST, when one is made, renamed or removed;
 * of the selected mailbox what IDLE would tell. First the STATUS of each but the selected one comes: a
 * folder of which none is told is not watched.
 *
 * 1; 0 refused (*e): the server can't, or not all of it ([BADEVENT]), or not of so many
 * ([NOTIFICATIONOVERFLOW]); -1 as imap_finish.
 *
 * Once on a connection: after a second one Dovecot 2.3 tells nothing more. A server that gives up says
 * OK [NOTIFICATIONOVERFLOW], untagged, and some say NO, untagged, when something was lost.
 */
int imap_notify(struct imap_conn *c, bool selected, imap_on *on, void *arg, struct err *e);

#endif
