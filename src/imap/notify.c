/* NOTIFY: see notify.h. */
#include "imap/notify.h"

#define EVENTS "MessageNew MessageExpunge FlagChange"

int imap_notify(struct imap_conn *c, bool selected, imap_on *on, void *arg, struct err *e)
{
	uint32_t tag;

	if (imap_send(c, &tag, e, "NOTIFY SET STATUS%s (personal (" EVENTS " MailboxName))", selected ? " (selected (" EVENTS "))" : "") < 0)
		return -1;
	return imap_finish(c, tag, on, arg, NULL, e);
}
