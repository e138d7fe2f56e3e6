package ldap

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// errTooMuch ends an answer that is larger than Config.MaxAnswer.
var errTooMuch = errors.New("answer is larger than MaxAnswer")

// wire is a connection whose questions have an end: go-ldap bounds neither
// the time nor the octets of an answer.
type wire struct {
	net.Conn          // TCP, or TLS over it
	raw      net.Conn // what can be closed without another word

	left   atomic.Int64 // octets that may still come
	failed atomic.Pointer[error]
	timer  *time.Timer // ends the question that is put; one is cheaper than deadlines for both directions
}

func newWire(nc, raw net.Conn) *wire {
	w := &wire{Conn: nc, raw: raw}
	w.timer = time.AfterFunc(time.Hour, func() {
		_ = w.note(os.ErrDeadlineExceeded)
		w.abort()
	})
	w.timer.Stop()
	return w
}

// begin lets a question be put until a deadline, or for ever when that is the
// zero time, with a number of octets as its answer.
func (w *wire) begin(deadline time.Time, octets int64) {
	w.left.Store(octets)
	if !deadline.IsZero() {
		w.timer.Reset(time.Until(deadline))
	}
}

// end lets the connection wait for the next question. It reports whether the
// last one ended in time.
func (w *wire) end() (inTime bool) { return w.timer.Stop() }

// abort closes the connection under whoever uses it.
func (w *wire) abort() { _ = w.raw.Close() }

// reason returns what went wrong first, or nil.
func (w *wire) reason() error {
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.left.Add(-int64(n)) < 0 {
		n, err = 0, errTooMuch
	}
	return n, w.note(err)
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	return n, w.note(err)
}

func (w *wire) note(err error) error {
	if err != nil {
		w.failed.CompareAndSwap(nil, &err)
	}
	return err
}
