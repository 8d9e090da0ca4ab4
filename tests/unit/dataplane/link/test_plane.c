/* nng's close that does not return is told from one that takes its time; who does not listen costs
 * no socket of nng. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
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
static atomic_uint n_opened;

/* In the place of nng's own. */
int nng_req0_open(nng_socket *ret_s)
{
    int (*open_it)(nng_socket *) = NULL;
    void *found = dlsym(RTLD_NEXT, "nng_req0_open");

    memcpy(&open_it, &found, sizeof found);
    n_opened++;
    return open_it(ret_s);
}

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

/* No file, a file that is no socket, a socket whose owner died; then one that somebody has. */
static void test_who_does_not_listen_is_found_without_nng(void **state)
{
    char dir[] = "/tmp/weir-plane-XXXXXX", address[128];
    const struct join j = {0};
    struct plane *p = plane_new();
    struct sockaddr_un at;
    struct err e;
    int fd;

    (void)state;
    assert_non_null(p);
    bind_to(&at, dir, &fd);
    (void)snprintf(address, sizeof address, "ipc://%s", at.sun_path);
    unsigned before = n_opened;
    (void)close(fd);
    assert_int_equal(plane_connect(p, address, &j, &e), ERRC_CLOSED);
    assert_int_equal(e.sys, ECONNREFUSED);
    (void)unlink(at.sun_path);
    assert_int_equal(plane_connect(p, address, &j, &e), ERRC_CLOSED);
    assert_int_equal(e.sys, ENOENT);
    (void)close(open(at.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(plane_connect(p, address, &j, &e), ERRC_CLOSED);
    assert_int_equal(e.sys, ECONNREFUSED);
    assert_int_equal(n_opened, before);

    (void)unlink(at.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(plane_connect(p, address, &j, &e), ERRC_TIMEOUT);
    assert_int_equal(n_opened, before + 1);
    p = plane_free(p);
    (void)close(fd);
    (void)unlink(at.sun_path);
    (void)rmdir(dir);
}

/* Being looked for is no connection: nothing is there to be accepted. */
static void test_looking_for_a_listener_connects_nothing(void **state)
{
    char dir[] = "/tmp/weir-plane-XXXXXX";
    struct attempt a = {.plane = plane_new()};
    struct sockaddr_un at;
    pthread_t thread;
    unsigned n = 0;
    int fd, got;

    (void)state;
    assert_non_null(a.plane);
    bind_to(&at, dir, &fd);
    assert_int_equal(listen(fd, 8), 0);
    (void)snprintf(a.address, sizeof a.address, "ipc://%s", at.sun_path);
    assert_int_equal(pthread_create(&thread, NULL, connect_it, &a), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, ERRC_TIMEOUT); /* nobody greets */
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while ((got = accept(fd, NULL, NULL)) >= 0) {
        n++;
        (void)close(got);
    }
    assert_int_equal(n, 1); /* nng's */
    a.plane = plane_free(a.plane);
    (void)close(fd);
    (void)unlink(at.sun_path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_close_that_never_ends_is_seen),
        cmocka_unit_test(test_who_does_not_listen_is_found_without_nng),
        cmocka_unit_test(test_looking_for_a_listener_connects_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
