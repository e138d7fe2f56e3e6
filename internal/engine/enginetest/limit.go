// Package enginetest measures what a disk can do, for benchmarks of the
// engine and of what is built on it.
package enginetest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// limitFile is how large the Limit's file grows before the next one begins.
const limitFile = 256 << 20

// Limit is the least that a durable store must do: it appends octets to one
// file and shares one sync among all who wait. It keeps nothing.
type Limit struct {
	dir  string
	file *os.File
	off  int64

	mu      sync.Mutex
	waiting []*appending
	signal  chan struct{}
	closed  bool
	done    chan struct{}
}

type appending struct {
	octets []byte
	done   chan error
}

// NewLimit makes a Limit with its file in dir, which should be on the disk of
// what it is compared to.
func NewLimit(dir string) (*Limit, error) {
	l := &Limit{dir: dir, signal: make(chan struct{}, 1), done: make(chan struct{})}
	if err := l.next(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// Append returns when octets are durable.
func (l *Limit) Append(octets []byte) error {
	a := &appending{octets, make(chan error, 1)}
	l.mu.Lock()
	l.waiting = append(l.waiting, a)
	l.mu.Unlock()
	l.wake()
	return <-a.done
}

// Close removes the file. Nobody may be in Append.
func (l *Limit) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake()
	<-l.done
	return errors.Join(l.file.Close(), os.Remove(l.file.Name()))
}

func (l *Limit) wake() {
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *Limit) run() {
	defer close(l.done)
	var buf []byte
	for {
		runtime.Gosched() // those just released come back in one moment
		l.mu.Lock()
		group, closed := l.waiting, l.closed
		l.waiting = nil
		l.mu.Unlock()
		if len(group) == 0 {
			if closed {
				return
			}
			<-l.signal
			continue
		}
		buf = buf[:0]
		for _, a := range group {
			buf = append(buf, a.octets...)
		}
		err := l.write(buf)
		for _, a := range group {
			a.done <- err
		}
	}
}

func (l *Limit) write(b []byte) error {
	if l.off > limitFile {
		if err := l.next(); err != nil {
			return err
		}
	}
	n, err := l.file.WriteAt(b, l.off)
	l.off += int64(n)
	if err != nil {
		return err
	}
	return datasync(l.file)
}

func (l *Limit) next() error {
	if l.file != nil {
		l.file.Close()
	}
	f, err := os.Create(filepath.Join(l.dir, "limit"))
	if err != nil {
		return err
	}
	l.file, l.off = f, 0
	return f.Sync()
}
