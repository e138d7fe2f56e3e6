package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, on every architecture.
const tick = 10 * time.Millisecond

// family returns a process and all that it has started, and they in turn.
func family(pid int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		fields, err := statFields(f)
		if err != nil {
			continue // it has ended
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields returns what follows the name of a process in its stat: its state,
// its parent, and so on.
func statFields(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("%s is cut short", file)
	}
	return fields, nil
}

// cpuTime is what a process and its family have used, those of it that have
// ended included.
func cpuTime(pid int) (total time.Duration) {
	for _, p := range family(pid) {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(f)
			total += time.Duration(n) * tick
		}
	}
	return total
}

// settledMemory is the resident memory in octets of a process and its family
// once it shrinks no longer from one look to the next.
func settledMemory(ctx context.Context, pid int, every time.Duration) (int, error) {
	last := 0
	for {
		now, err := residentAll(pid)
		if err != nil || last > 0 && now >= last {
			return now, err
		}
		last = now
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(every):
		}
	}
}

// residentAll is the resident memory of a process and its family at this moment.
func residentAll(pid int) (total int, err error) {
	for _, p := range family(pid) {
		n, err := resident(p)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func resident(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize(), err
}
