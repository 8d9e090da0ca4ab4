/* nng's close that does not return is told from one that takes its time. */

#include <dlfcn.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#include "link/plane.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000000)

static atomic_bool is_held, is_inside;

/* In the place of nng's own. */
int nng_close(nng_socket s)
{
    int (*close_it)(nng_socket) = NULL;
    void *found = dlsym(RTLD_NEXT, "nng_close");

    memcpy(&close_it, &found, sizeof found);
    is_inside = true;
    while (is_held)
        (void)usleep(1000);
    return close_it(s);
}

struct attempt {
    struct plane *plane;
    char address[128];
    enum errc rc;
};

static void *connect_it(void *arg)
{
    struct attempt *a = arg;
    const struct join j = {0};
    struct err e;

    a->rc = plane_connect(a->plane, a->address, &j, &e);
    return NULL;
}

/* A socket that nobody listens at: what was opened for it is closed again. */
static void bind_to(struct sockaddr_un *at, char dir[], int *ret_fd)
{
    assert_non_null(mkdtemp(dir));
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(at->sun_path, sizeof at->sun_path, "%s/plane", dir);
    *ret_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)at, sizeof *at), 0);
}

static void test_a_close_that_never_ends_is_seen(void **state)
{
    char dir[] = "/tmp/weir-plane-XXXXXX";
    struct attempt a = {.plane = plane_new()};
    struct sockaddr_un at;
    pthread_t thread;
    int fd;

    (void)state;
    assert_non_null(a.plane);
    bind_to(&at, dir, &fd);
    (void)snprintf(a.address, sizeof a.address, "ipc://%s", at.sun_path);
    assert_false(plane_is_stuck(a.plane, clock_mono_ns() + 60 * SECOND));

    is_held = true;
    assert_int_equal(pthread_create(&thread, NULL, connect_it, &a), 0);
    while (!is_inside)
        (void)usleep(1000);
    uint64_t now_ns = clock_mono_ns();
    assert_false(plane_is_stuck(a.plane, now_ns));
    assert_true(plane_is_stuck(a.plane, now_ns + 60 * SECOND));

    is_held = false;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, ERRC_TIMEOUT);
    assert_false(plane_is_stuck(a.plane, clock_mono_ns() + 60 * SECOND));
    a.plane = plane_free(a.plane);
    (void)close(fd);
    (void)unlink(at.sun_path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_close_that_never_ends_is_seen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
