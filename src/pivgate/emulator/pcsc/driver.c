/* SPDX-License-Identifier: Apache-2.0
 *
 * A driver for pcscd (IFD handler API 3) whose cards live in other processes.
 *
 * A reader has one slot. Its DEVICENAME ends in the path of a unix socket: somebody who listens there is a
 * card that is in the slot; nobody listening is an empty slot. The file's mode says who may be the card.
 *
 * A message is two bytes of length, most significant first, then one byte that says what it is, then the
 * rest. To the card: 'P' power up, 'R' reset, 'O' power down, 'C' with a command APDU. From the card: its
 * ATR after 'P' and 'R', the reply APDU after 'C', nothing after 'O'; replies have no byte that says what.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ifdhandler.h>

#define READERS 16 /* pcscd's own limit (PCSCLITE_MAX_READERS_CONTEXTS) */
#define LARGEST 65535
#define LOOK 50 /* milliseconds between two looks at a slot; by itself pcscd looks every 400 */

enum { NEWS = 1, TOLD };

static struct reader {
    struct sockaddr_un address;
    int card; /* connected socket, or -1 when the slot is empty */
    pthread_mutex_t lock; /* on card, whose number may belong to another file once it is closed */
    atomic_int stop; /* pcscd wants to wait anew, with another timeout */
    atomic_int lost; /* NEWS: the card has gone, which pcscd has to hear; TOLD: its next look hears it */
    unsigned char atr[MAX_ATR_SIZE];
    DWORD atr_length;
} readers[READERS];

static struct reader *reader_of(DWORD lun)
{
    return &readers[(lun >> 16) % READERS];
}

static void forget_card(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    if (reader->card >= 0) {
        close(reader->card);
        reader->lost = NEWS;
    }
    reader->card = -1;
    pthread_mutex_unlock(&reader->lock);
    reader->atr_length = 0;
}

static int send_all(int card, const unsigned char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(card, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static int receive_all(int card, unsigned char *data, size_t length)
{
    while (length > 0) {
        ssize_t received = recv(card, data, length, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return -1;
        data += received;
        length -= (size_t)received;
    }
    return 0;
}

static int tell(struct reader *reader, char what, const unsigned char *data, size_t length)
{
    unsigned char message[2 + LARGEST];

    if (reader->card < 0 || length + 1 > LARGEST)
        return -1;
    message[0] = (unsigned char)((length + 1) >> 8);
    message[1] = (unsigned char)(length + 1);
    message[2] = (unsigned char)what;
    if (length > 0)
        memcpy(message + 3, data, length);
    return send_all(reader->card, message, length + 3);
}

static int hear(struct reader *reader, unsigned char *data, size_t room)
{
    unsigned char head[2];
    size_t length;

    if (receive_all(reader->card, head, sizeof head))
        return -1;
    length = (size_t)head[0] << 8 | head[1];
    if (length > room || receive_all(reader->card, data, length))
        return -1;
    return (int)length;
}

RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR device_name)
{
    struct reader *reader = reader_of(lun);
    /* pcscd wants the part before the colon to exist as a file, so the socket's path is behind it. */
    const char *path = strchr(device_name, ':');

    memset(reader, 0, sizeof *reader);
    pthread_mutex_init(&reader->lock, NULL);
    reader->card = -1;
    if (path == NULL || strlen(path + 1) >= sizeof reader->address.sun_path)
        return IFD_COMMUNICATION_ERROR;
    reader->address.sun_family = AF_UNIX;
    strcpy(reader->address.sun_path, path + 1);
    return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
    (void)lun;
    (void)channel;
    return IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHCloseChannel(DWORD lun)
{
    forget_card(reader_of(lun));
    return IFD_SUCCESS;
}

static int has_event(struct reader *reader)
{
    struct pollfd event = {.fd = -1, .events = POLLIN};
    int found;

    pthread_mutex_lock(&reader->lock);
    event.fd = reader->card;
    found = event.fd < 0 || reader->lost || reader->stop || poll(&event, 1, 0) != 0;
    pthread_mutex_unlock(&reader->lock);
    return found;
}

/* Called by the one thread of pcscd that follows insertions and removals, after each of its looks at the slot.
 * Other threads look too, and what they see does not count. Returns when there may be news, or after the timeout
 * (milliseconds): pcscd takes the power from a card that nobody uses by it. */
static RESPONSECODE wait_for_event(DWORD lun, int timeout)
{
    struct reader *reader = reader_of(lun);
    struct timespec pause = {.tv_nsec = LOOK * 1000000L};
    int told = TOLD, news = NEWS;

    atomic_compare_exchange_strong(&reader->lost, &told, 0);
    do {
        nanosleep(&pause, NULL);
        timeout -= LOOK;
    } while (timeout > 0 && !has_event(reader));
    reader->stop = 0;
    atomic_compare_exchange_strong(&reader->lost, &news, TOLD);
    return IFD_SUCCESS;
}

static RESPONSECODE stop_waiting(DWORD lun)
{
    reader_of(lun)->stop = 1;
    return IFD_SUCCESS;
}

static RESPONSECODE give_function(const void *function, PDWORD length, PUCHAR value)
{
    if (*length < sizeof(void (*)(void)))
        return IFD_ERROR_INSUFFICIENT_BUFFER;
    *length = sizeof(void (*)(void));
    memcpy(value, function, *length);
    return IFD_SUCCESS;
}

RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
    struct reader *reader = reader_of(lun);

    switch (tag) {
    case TAG_IFD_ATR:
        if (*length < reader->atr_length)
            return IFD_ERROR_INSUFFICIENT_BUFFER;
        memcpy(value, reader->atr, reader->atr_length);
        *length = reader->atr_length;
        return IFD_SUCCESS;
    case TAG_IFD_POLLING_THREAD_WITH_TIMEOUT:
        return give_function(&(RESPONSECODE(*[])(DWORD, int)){wait_for_event}, length, value);
    case TAG_IFD_STOP_POLLING_THREAD:
        return give_function(&(RESPONSECODE(*[])(DWORD)){stop_waiting}, length, value);
    case TAG_IFD_SIMULTANEOUS_ACCESS:
        *value = READERS;
        break;
    case TAG_IFD_SLOTS_NUMBER:
    case TAG_IFD_THREAD_SAFE: /* readers share nothing but this table, of which each has its own entry */
    case TAG_IFD_SLOT_THREAD_SAFE:
        *value = 1;
        break;
    default:
        return IFD_ERROR_TAG;
    }
    *length = 1;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
    (void)lun;
    (void)tag;
    (void)length;
    (void)value;
    return IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHSetProtocolParameters(DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2, UCHAR pts3)
{
    (void)lun;
    (void)protocol;
    (void)flags;
    (void)pts1;
    (void)pts2;
    (void)pts3;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR atr, PDWORD atr_length)
{
    struct reader *reader = reader_of(lun);
    int length;

    *atr_length = 0;
    if (action == IFD_POWER_DOWN)
        return tell(reader, 'O', NULL, 0) ? IFD_COMMUNICATION_ERROR : IFD_SUCCESS;
    if (tell(reader, action == IFD_RESET ? 'R' : 'P', NULL, 0)
        || (length = hear(reader, reader->atr, sizeof reader->atr)) < 0) {
        forget_card(reader);
        return IFD_ERROR_POWER_ACTION;
    }
    reader->atr_length = (DWORD)length;
    memcpy(atr, reader->atr, reader->atr_length);
    *atr_length = reader->atr_length;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send_header, PUCHAR command, DWORD command_length,
                               PUCHAR reply, PDWORD reply_length, PSCARD_IO_HEADER receive_header)
{
    struct reader *reader = reader_of(lun);
    int length;

    if (tell(reader, 'C', command, command_length)
        || (length = hear(reader, reply, *reply_length)) < 2) {
        forget_card(reader);
        *reply_length = 0;
        return IFD_COMMUNICATION_ERROR;
    }
    *reply_length = (DWORD)length;
    if (receive_header != NULL)
        receive_header->Protocol = send_header.Protocol;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR out, DWORD out_length, PUCHAR in, DWORD in_length,
                         LPDWORD returned)
{
    (void)lun;
    (void)code;
    (void)out;
    (void)out_length;
    (void)in;
    (void)in_length;
    if (returned != NULL)
        *returned = 0;
    return IFD_ERROR_NOT_SUPPORTED;
}

static RESPONSECODE presence(struct reader *reader)
{
    struct pollfd event = {.fd = reader->card, .events = POLLIN};
    char byte;
    int card;

    if (reader->card >= 0) {
        /* Between commands a card says nothing: what can be read is the end, or a card that is broken. */
        if (poll(&event, 1, 0) == 0)
            return IFD_ICC_PRESENT;
        if (recv(reader->card, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EINTR)
            return IFD_ICC_PRESENT;
        forget_card(reader);
    }
    /* Even when it is back already: what was proved to it is void, and it has no power yet. */
    if (reader->lost)
        return IFD_ICC_NOT_PRESENT;
    card = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (card < 0)
        return IFD_ICC_NOT_PRESENT;
    if (connect(card, (struct sockaddr *)&reader->address, sizeof reader->address)) {
        close(card);
        return IFD_ICC_NOT_PRESENT;
    }
    pthread_mutex_lock(&reader->lock);
    reader->card = card;
    pthread_mutex_unlock(&reader->lock);
    return IFD_ICC_PRESENT;
}

RESPONSECODE IFDHICCPresence(DWORD lun)
{
    /* pcscd 1.9 takes an errno that is left over for a fault of its folder of readers, and ends. */
    int before = errno;
    RESPONSECODE result = presence(reader_of(lun));

    errno = before;
    return result;
}
