#ifndef SENDERD_AUDIO_H
#define SENDERD_AUDIO_H

#include <stdbool.h>

/*
 * The process that does JOB_SYNC_AUDIO: it copies the files of all binary contents to the SFTP server from which a
 * voice platform plays them, those that are not there or have another size.  A child of the supervisor, there only
 * while audio_ftp_host is set.
 */
int audio_run(void);
/* Whether there is a server to copy to. */
bool audio_is_copied(void);

#endif
