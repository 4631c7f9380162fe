/* The one program of the test image. Its name decides: "pause" waits for its end, any other name
   logs two lines and then, one every 200 ms, further ones; "echo" prints its arguments and ends. */
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void end(int number) { _exit(number == SIGTERM ? 0 : 1); }

static int echo(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    return argc > 1 && strcmp(argv[1], "fail") == 0 ? 7 : 0;
}

int main(int argc, char **argv) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    const char *name = basename(argv[0]);
    if (strcmp(name, "echo") == 0) return echo(argc, argv);
    if (strcmp(name, "pause") == 0)
        for (;;) pause();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("hello from stdout\n");
    fprintf(stderr, "warning from stderr\n");
    for (int i = 0;; i++) {
        usleep(200 * 1000);
        printf("line %d\n", i);
    }
}
