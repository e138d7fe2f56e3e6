package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the program is told when a benchmark starts it once more.
const (
	freshTask = "POSTHOUSE_FRESH_TASK"
	freshDir  = "POSTHOUSE_FRESH_DIR"

	taskFill = "fill"
	taskOpen = "open"
)

// Fresh does what a benchmark started this program for, see Filled and Opened,
// and does not return then. TestMain calls it first.
func Fresh(fill, open func(dir string) error) {
	dir := os.Getenv(freshDir)
	var err error
	switch os.Getenv(freshTask) {
	case taskFill:
		err = fill(dir)
	case taskOpen:
		begin := time.Now()
		if err = open(dir); err == nil {
			fmt.Printf("%d %d\n", time.Since(begin), resident())
		}
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kill()
}

// kill ends this process as kill -9 does: nothing is closed.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	fmt.Fprintln(os.Stderr, err)
	select {}
}

// Filled runs fill in a process of its own that is killed when it is done.
func Filled(b *testing.B, dir string) { fresh(b, taskFill, dir) }

// Opened runs open in a process of its own, which is killed, too. It returns
// how long open took, and the memory that the process had in RAM then, in
// octets; 0 when the system does not tell.
func Opened(b *testing.B, dir string) (took time.Duration, octets int64) {
	_, err := fmt.Sscan(fresh(b, taskOpen, dir), &took, &octets)
	require.NoError(b, err)
	return took, octets
}

func fresh(b *testing.B, task, dir string) (said string) {
	b.Helper()
	exe, err := os.Executable()
	require.NoError(b, err)
	var out, complaints bytes.Buffer
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), freshTask+"="+task, freshDir+"="+dir)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		b.Fatalf("%s: %v: %s", task, err, &complaints)
	}
	return out.String()
}

// resident is how much memory of this process is in RAM.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// CompareOpening opens copies of a directory, one per iteration, and reports
// the median time and memory beside what they should be at most. "ms/sync" is
// how long the disk takes at that time to make one empty file durable, of which
// an opening needs a few.
func CompareOpening(b *testing.B, dir string, most time.Duration, octets int64) {
	b.Helper()
	var times, sizes, syncs []float64
	for b.Loop() {
		b.StopTimer()
		work := dir + ".copy"
		require.NoError(b, copySynced(work, dir))
		syncs = append(syncs, syncTime(b, work).Seconds()*1000)
		took, size := Opened(b, work)
		require.NoError(b, os.RemoveAll(work))
		times, sizes = append(times, took.Seconds()*1000), append(sizes, float64(size)/1e6)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(syncs), "ms/sync")
	b.ReportMetric(median(times), "ms/open")
	b.ReportMetric(most.Seconds()*1000, "ms/goal")
	b.ReportMetric(median(sizes), "MB")
	b.ReportMetric(float64(octets)/1e6, "MB/goal")
}

// copySynced copies a directory and brings the copy to disk, so that whoever
// opens it does not wait for that.
func copySynced(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// syncTime makes a file durable.
func syncTime(b *testing.B, dir string) time.Duration {
	begin := time.Now()
	f, err := os.Create(filepath.Join(dir, "empty"))
	require.NoError(b, err)
	d, err := os.Open(dir)
	require.NoError(b, err)
	require.NoError(b, errors.Join(f.Sync(), d.Sync()))
	took := time.Since(begin)
	require.NoError(b, errors.Join(f.Close(), d.Close(), os.Remove(f.Name())))
	return took
}
