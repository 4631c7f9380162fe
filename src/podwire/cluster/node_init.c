/* PID 1 of a node: reaps orphans (containerd's shims leave some) and does nothing else. The kernel
 * hides from a namespace's PID 1 every signal that it does not handle, SIGKILL from outside excepted. */
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
	sigset_t child;
	int got;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, 0);
	for (;;) {
		while (waitpid(-1, 0, WNOHANG) > 0)
			;
		sigwait(&child, &got);
	}
}
