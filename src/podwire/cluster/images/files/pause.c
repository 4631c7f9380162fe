/* The process that holds a pod's namespaces: reaps orphans, ends on TERM or INT.

   Freestanding (no libc, hence a few kilobytes): the signals are blocked and taken one by one, which
   also works for pid 1, whose ignored signals the kernel would otherwise drop.
   -v prints the version. */

#if defined(__x86_64__)
enum { WRITE = 1, SIGPROCMASK = 14, WAIT4 = 61, SIGTIMEDWAIT = 128, EXIT_GROUP = 231 };
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { WRITE = 64, SIGPROCMASK = 135, WAIT4 = 260, SIGTIMEDWAIT = 137, EXIT_GROUP = 94 };
__asm__(".globl _start\n_start: mov x0, sp\n bl run\n");

static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "pause: write down this machine's system calls"
#endif

enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, BLOCK = 0, NOHANG = 1 };
static const char version[] = "pause (podwire) 1\n";

__attribute__((noreturn, used)) void run(long *stack)
{
    char **argv = (char **)(stack + 1);
    unsigned long taken = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);
    if (stack[0] > 1 && argv[1][0] == '-' && argv[1][1] == 'v' && !argv[1][2])
        call(WRITE, 1, (long)version, sizeof version - 1, 0);
    else {
        call(SIGPROCMASK, BLOCK, (long)&taken, 0, sizeof taken);
        for (;;) {
            long got = call(SIGTIMEDWAIT, (long)&taken, 0, 0, sizeof taken);
            if (got == SIGINT || got == SIGTERM)
                break;
            while (call(WAIT4, -1, 0, NOHANG, 0) > 0)
                ;
        }
    }
    for (;;)
        call(EXIT_GROUP, 0, 0, 0, 0);
}
