// A file layer that remembers, for a test, in which order a process wrote and synced the files of an SQLite database. Preloaded with
// LD_PRELOAD; every call goes through to the real file system and is noted in the file that IRONFLOW_OPS names:
//
//   kind (1 byte: W write, T truncate, S sync, A acknowledgement), file (1 byte: d database, w its log, 1 standard output),
//   length (4 bytes), offset (8 bytes), data (length bytes; for writes and acknowledgements)
//
// What power-loss.test.ts makes of it: the disk as it may be after the power went at any moment.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ops = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  const char *path = getenv("IRONFLOW_OPS");
  if (path != NULL) ops = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// Which of the watched files a descriptor is of; 0 for any other.
static char file_of(int fd) {
  if (ops < 0 || fd == ops) return 0;
  if (fd == 1) return '1';
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  const char *name = strrchr(path, '/');
  if (name == NULL) return 0;
  if (strcmp(name, "/ironflow.db") == 0) return 'd';
  if (strcmp(name, "/ironflow.db-wal") == 0) return 'w';
  return 0;
}

static void note(char kind, char file, uint64_t offset, const void *data, uint32_t length) {
  char *record = malloc(14 + length);
  record[0] = kind;
  record[1] = file;
  memcpy(record + 2, &length, 4);
  memcpy(record + 6, &offset, 8);
  if (length > 0) memcpy(record + 14, data, length);
  if (real_write(ops, record, 14 + length) != (ssize_t)(14 + length)) abort();
  free(record);
}

ssize_t write(int fd, const void *data, size_t length) {
  char file = file_of(fd);
  if (file == 0) return real_write(fd, data, length);
  pthread_mutex_lock(&lock);
  // Whoever is told is told of something that has been noted.
  if (file == '1') note('A', file, 0, data, (uint32_t)length);
  off_t offset = file == '1' ? 0 : lseek(fd, 0, SEEK_CUR);
  ssize_t written = real_write(fd, data, length);
  if (file != '1' && written > 0) note('W', file, (uint64_t)offset, data, (uint32_t)written);
  pthread_mutex_unlock(&lock);
  return written;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
  char file = file_of(fd);
  if (file == 0) return real_pwrite(fd, data, length, offset);
  pthread_mutex_lock(&lock);
  ssize_t written = real_pwrite(fd, data, length, offset);
  if (written > 0) note('W', file, (uint64_t)offset, data, (uint32_t)written);
  pthread_mutex_unlock(&lock);
  return written;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

int ftruncate64(int fd, off_t length) {
  char file = file_of(fd);
  int result = real_ftruncate(fd, length);
  if (file != 0 && result == 0) {
    pthread_mutex_lock(&lock);
    note('T', file, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
  }
  return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*sync)(int)) {
  char file = file_of(fd);
  int result = sync(fd);
  if (file != 0 && result == 0) {
    pthread_mutex_lock(&lock);
    note('S', file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
  }
  return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }
