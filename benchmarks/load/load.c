/* A load generator that checks every answer: one thread, epoll, keep-alive, prepared requests.
 *
 *   load PORT CONNECTIONS SECONDS WARM_UP EVERY FILE
 *
 * FILE holds the questions (generator.py writes it): u32 count, then for each question the request's bytes, u32 number
 * of right answers, and those; each run of bytes has its u32 length in front, in the machine's byte order.
 * A connection asks one question at a time and the next one once that is answered, so that an answer which belongs to
 * another request is seen to be wrong. An answer is right when it is one of the question's, but for the rounding of
 * numbers. SIGINT or SIGTERM end the run early; either way every question that was asked is waited for.
 *
 * One line of JSON every EVERY seconds (0: never) and one at the end: all counts since the beginning, but for `measured`
 * and the latencies, which leave out the first WARM_UP seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_ANSWERS 4
#define REMEMBERED 4
#define ANSWER_SECONDS 60
#define DRAIN_SECONDS 10
#define RETRY_SECONDS 0.02
#define SHOWN 3

typedef struct { uint32_t length; char *data; } Bytes;
typedef struct {
  Bytes body;
  Bytes seen[REMEMBERED];   /* the same as the body but for rounding, as it was found out before */
  unsigned next;
} Answer;
typedef struct { Bytes request; uint32_t answers; Answer answer[MOST_ANSWERS]; } Question;

typedef struct {
  int fd;           /* -1: not connected, again at `since` */
  int connecting;   /* the connection is not made yet */
  int asked;        /* a question waits for its answer */
  size_t question, sent;
  double since;     /* when it was asked, or when to connect again */
  char *buffer;
  size_t have, room;
} Connection;

static Question *questions;
static size_t question_count;
static Connection *connections;
static int connection_count, down, epoll;
static struct sockaddr_in address;
static volatile sig_atomic_t stopping;

static unsigned long acknowledged, measured, wrong, busy, lost, unconnected, unreadable, by_answer[MOST_ANSWERS];
static unsigned long others[600];
static double measured_from;

/* Latencies in microseconds: exact below 64, above in steps of 1/32. */
#define BUCKETS (64 + 32 * 40)
static unsigned long buckets[BUCKETS];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static void observe(double seconds) {
  uint64_t micros = seconds * 1e6;
  if (micros < 64) { buckets[micros]++; return; }
  int shift = 58 - __builtin_clzll(micros);
  size_t place = 64 + 32 * (size_t)(shift - 1) + (micros >> shift) - 32;
  buckets[place < BUCKETS ? place : BUCKETS - 1]++;
}

/* The latency in milliseconds that this share of the answers did not exceed, to about 3 %. */
static double percentile(double share) {
  unsigned long wanted = ceil(measured * share), seen = 0;
  for (size_t place = 0; place < BUCKETS; place++) {
    seen += buckets[place];
    if (seen >= wanted && seen) {
      if (place < 64) return place / 1e3;
      size_t shift = (place - 64) / 32 + 1, step = (place - 64) % 32 + 32;
      return (double)(step << shift) / 1e3;
    }
  }
  return 0;
}

static void report(double begun) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  double seconds = now() - measured_from;
  printf("{\"at\":%.3f,\"elapsed\":%.3f,\"seconds\":%.6f,\"measured\":%lu,\"p50\":%.4f,\"p99\":%.4f,"
         "\"acknowledged\":%lu,\"wrong\":%lu,\"busy\":%lu,\"lost\":%lu,\"unconnected\":%lu,\"unreadable\":%lu,",
         time.tv_sec + time.tv_nsec * 1e-9, now() - begun, seconds > 0 ? seconds : 0, measured, percentile(.5),
         percentile(.99), acknowledged, wrong, busy, lost, unconnected, unreadable);
  printf("\"by_answer\":[%lu,%lu,%lu,%lu],\"others\":{", by_answer[0], by_answer[1], by_answer[2], by_answer[3]);
  const char *comma = "";
  for (int status = 0; status < 600; status++)
    if (others[status]) { printf("%s\"%d\":%lu", comma, status, others[status]); comma = ","; }
  printf("}}\n");
  fflush(stdout);
}

static int begins_number(const char *text, const char *end) {
  return text < end && (isdigit((unsigned char)*text) || (*text == '-' && text + 1 < end && isdigit((unsigned char)text[1])));
}

/* Whether both are the same but for the rounding of numbers. Both end with a NUL that does not count. */
static int alike(const char *got, size_t got_length, const char *right, size_t right_length) {
  const char *got_end = got + got_length, *right_end = right + right_length;
  while (got < got_end && right < right_end) {
    if (begins_number(got, got_end) && begins_number(right, right_end)) {
      char *got_next, *right_next;
      double one = strtod(got, &got_next), other = strtod(right, &right_next);
      if (!(fabs(one - other) <= 1e-5 + 1e-4 * fabs(other))) return 0;
      got = got_next;
      right = right_next;
    } else if (*got++ != *right++) {
      return 0;
    }
  }
  return got == got_end && right == right_end;
}

static int equal(const char *got, size_t length, Bytes other) {
  return length == other.length && !memcmp(got, other.data, length);
}

/* Whether it is this answer. Reading numbers is slow, so that what was found alike is known again by its bytes. */
static int is(Answer *answer, const char *got, size_t length) {
  if (equal(got, length, answer->body)) return 1;
  for (int place = 0; place < REMEMBERED && answer->seen[place].data; place++)
    if (equal(got, length, answer->seen[place])) return 1;
  if (!alike(got, length, answer->body.data, answer->body.length)) return 0;
  Bytes *seen = &answer->seen[answer->next++ % REMEMBERED];
  free(seen->data);
  seen->data = malloc(length + 1);
  seen->length = length;
  memcpy(seen->data, got, length);
  return 1;
}

static void judge(Connection *connection, int status, int may_retry, const char *body, size_t length) {
  if (status != 200) {
    if (status == 503 && may_retry) busy++; else others[status > 0 && status < 600 ? status : 0]++;
    return;
  }
  acknowledged++;
  Question *question = &questions[connection->question];
  for (uint32_t place = 0; place < question->answers; place++)
    if (is(&question->answer[place], body, length)) {
      by_answer[place]++;
      double end = now();
      if (!stopping && end >= measured_from) {
        measured++;
        observe(end - connection->since);
      }
      return;
    }
  if (wrong++ < SHOWN)
    fprintf(stderr, "Wrong answer to question %zu:\n  %.400s\nright would be:\n  %.400s\n", connection->question, body,
            question->answers ? question->answer[0].body.data : "");
}

static void watch(Connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  epoll_ctl(epoll, operation, connection->fd, &event);
}

static void drop(Connection *connection) {
  if (connection->asked) lost++;
  close(connection->fd);
  connection->fd = -1;
  connection->asked = connection->connecting = 0;
  connection->since = now() + RETRY_SECONDS;
  down++;
}

static void dial(Connection *connection) {
  int one = 1;
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connection->have = 0;
  connection->connecting = 1;
  down--;
  if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
    unconnected++;
    drop(connection);
    return;
  }
  watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_rest(Connection *connection) {
  const Bytes *request = &questions[connection->question].request;
  while (connection->sent < request->length) {
    ssize_t sent = send(connection->fd, request->data + connection->sent, request->length - connection->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) { watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT); return; }
    if (sent < 0) { drop(connection); return; }
    connection->sent += sent;
  }
}

static void ask(Connection *connection) {
  if (stopping) return;
  connection->question = (connection->question + 1) % question_count;
  connection->sent = 0;
  connection->asked = 1;
  connection->since = now();
  send_rest(connection);
}

/* One whole answer in the buffer: how many bytes it has; 0 while it is not whole, -1 where it cannot be read. */
static long answered(Connection *connection) {
  char *buffer = connection->buffer;
  char *end = memmem(buffer, connection->have, "\r\n\r\n", 4);
  if (!end) return 0;
  if (connection->have < 12 || memcmp(buffer, "HTTP/1.", 7)) return -1;
  size_t head = end + 4 - buffer;
  long length = -1;
  int may_retry = 0, closes = 0;
  for (char *line = memchr(buffer, '\n', head) + 1; line < end; line = memchr(line, '\n', end + 2 - line) + 1) {
    if ((*line | 32) == 'c' && !strncasecmp(line, "content-length:", 15)) length = strtol(line + 15, NULL, 10);
    else if ((*line | 32) == 'c' && !strncasecmp(line, "connection: close", 17)) closes = 1;
    else if ((*line | 32) == 'r' && !strncasecmp(line, "retry-after:", 12)) may_retry = 1;
  }
  if (length < 0) return -1;
  if (connection->have < head + length) return 0;
  if (connection->have > head + length || !connection->asked) return -1;
  buffer[head + length] = 0;
  judge(connection, atoi(buffer + 9), may_retry, buffer + head, length);
  connection->asked = 0;
  connection->have = 0;
  if (closes) drop(connection); else ask(connection);
  return head + length;
}

static void receive(Connection *connection) {
  if (connection->room - connection->have < 4096) {
    connection->room = connection->room ? connection->room * 2 : 8192;
    connection->buffer = realloc(connection->buffer, connection->room);
  }
  ssize_t got = recv(connection->fd, connection->buffer + connection->have, connection->room - connection->have - 1, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) { drop(connection); return; }
  connection->have += got;
  if (answered(connection) < 0) {
    unreadable++;
    connection->asked = 0;
    drop(connection);
  }
}

static void wake(Connection *connection, uint32_t events) {
  if (connection->fd < 0) return;
  if (connection->connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { unconnected++; drop(connection); return; }
    connection->connecting = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    ask(connection);
    return;
  }
  if (events & EPOLLOUT) {
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    send_rest(connection);
  }
  if (connection->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
}

/* Connect again what is down, give up what was not answered for too long; how many still wait for an answer. */
static int look_after(void) {
  int waiting = 0;
  double time = now();
  for (int place = 0; place < connection_count; place++) {
    Connection *connection = &connections[place];
    if (connection->fd < 0 && !stopping && connection->since <= time) dial(connection);
    else if (connection->asked && time - connection->since > ANSWER_SECONDS) drop(connection);
    waiting += connection->asked;
  }
  return waiting;
}

static uint32_t number(FILE *file) {
  uint32_t value;
  if (fread(&value, sizeof value, 1, file) != 1) { fprintf(stderr, "The file of questions is cut off.\n"); exit(2); }
  return value;
}

static Bytes bytes(FILE *file) {
  Bytes read = {.length = number(file)};
  read.data = calloc(1, read.length + 1);
  if (fread(read.data, 1, read.length, file) != read.length) { fprintf(stderr, "The file of questions is cut off.\n"); exit(2); }
  return read;
}

static void load(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(2); }
  question_count = number(file);
  questions = calloc(question_count, sizeof *questions);
  for (size_t place = 0; place < question_count; place++) {
    questions[place].request = bytes(file);
    questions[place].answers = number(file);
    if (questions[place].answers > MOST_ANSWERS) { fprintf(stderr, "A question has too many answers.\n"); exit(2); }
    for (uint32_t answer = 0; answer < questions[place].answers; answer++)
      questions[place].answer[answer].body = bytes(file);
  }
  fclose(file);
}

static void stop(int signal) { (void)signal; stopping = 1; }

int main(int count, char **words) {
  if (count != 7) { fprintf(stderr, "load PORT CONNECTIONS SECONDS WARM_UP EVERY FILE\n"); return 2; }
  address.sin_family = AF_INET;
  address.sin_port = htons(atoi(words[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connection_count = down = atoi(words[2]);
  double seconds = atof(words[3]), warm_up = atof(words[4]), every = atof(words[5]);
  load(words[6]);
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  epoll = epoll_create1(0);
  connections = calloc(connection_count, sizeof *connections);
  for (int place = 0; place < connection_count; place++)
    connections[place] = (Connection){.fd = -1, .question = (size_t)place * 7 % question_count};
  double begun = now(), looked = begun, next = begun + every, deadline = 0;
  measured_from = begun + warm_up;
  look_after();
  for (;;) {
    struct epoll_event events[512];
    int woken = epoll_wait(epoll, events, 512, 5);
    for (int place = 0; place < woken; place++) wake(events[place].data.ptr, events[place].events);
    double time = now();
    if (time >= begun + warm_up + seconds) stopping = 1;
    if (stopping && !deadline) {
      deadline = time + DRAIN_SECONDS;
      seconds = time - measured_from;
    }
    if (time - looked >= 0.005) {
      looked = time;
      if (every > 0 && time >= next) { report(begun); next += every; }
      int waiting = look_after();
      if (deadline && (!waiting || time > deadline)) break;
    }
  }
  for (int place = 0; place < connection_count; place++) lost += connections[place].asked;
  measured_from = now() - seconds;
  report(begun);
  return 0;
}
