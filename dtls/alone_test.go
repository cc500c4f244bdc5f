package dtls

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

const alone = "GODWIT_TEST_ALONE"

// Alone runs a test again in a process of its own, and reports whether this is that one.
// Who counts allocations or measures the heap begins with it: what other tests have left,
// as Conns that linger and the goroutines that the runtime makes for their timers, counts
// too.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(alone) != "" || testing.CoverMode() != "" { // there it has to be this one
		keepThreads(32)
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$",
		"-test.short="+strconv.FormatBool(testing.Short()),
		"-test.v="+strconv.FormatBool(testing.Verbose()),
		"-test.cpu="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	cmd.Env = append(os.Environ(), alone+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// keepThreads lets the runtime have so many threads, of which each takes 3 KiB of the heap
// from when it is first needed.
func keepThreads(n int) {
	var started, ended sync.WaitGroup
	end := make(chan struct{})
	for range n {
		started.Add(1)
		ended.Go(func() {
			runtime.LockOSThread() // others need another
			defer runtime.UnlockOSThread()
			started.Done()
			<-end
		})
	}
	started.Wait()
	close(end)
	ended.Wait()
}
