#include "link/name_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PATH_LEN = 512 };

bool name_file_read(const char *path, unsigned char out[NAME_FILE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, NAME_FILE);
    close(fd);
    return n == NAME_FILE;
}

bool name_file_write(const char *path, const unsigned char name[NAME_FILE])
{
    char temp[PATH_LEN + 8];

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = write(fd, name, NAME_FILE) == NAME_FILE && fsync(fd) == 0;
    close(fd);
    return ok && rename(temp, path) == 0;
}
