package ldap

import (
	"errors"
	"net"
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
}

// begin lets a question be put until a deadline, with a number of octets as
// its answer.
func (w *wire) begin(deadline time.Time, octets int64) {
	w.left.Store(octets)
	_ = w.SetDeadline(deadline)
}

// end lets the connection wait for the next question.
func (w *wire) end() { _ = w.SetDeadline(time.Time{}) }

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
