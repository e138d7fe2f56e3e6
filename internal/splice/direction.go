package splice

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// errPanicked ends a pair in which a connection's own code has panicked.
var errPanicked = errors.New("relay panicked")

// direction is one way of a pair. It either waits or bursts, each in a
// goroutine of its own that begins the other when it ends.
type direction struct {
	pair     *pair
	src, dst *side
	bulk     bool // the last burst was long: begin the next with a pipe
	noPipe   bool // the kernel has refused to splice these two
}

// wait waits until something can be read, and holds nothing meanwhile. Its
// frame is small, and so is what it calls.
func (d *direction) wait() {
	for {
		d.arm()
		err := d.src.Await()
		switch {
		case err == nil:
			go d.burst()
			return
		case !errors.Is(err, os.ErrDeadlineExceeded):
			d.end(err)
			return
		}
		if err := d.pair.overdue(); err != nil {
			d.end(err)
			return
		}
	}
}

// burst moves what is there, and waits again.
func (d *direction) burst() {
	err := errPanicked
	defer func() {
		if err != nil {
			d.end(err)
		}
	}()
	defer logPanic()
	if err = d.move(); err == nil {
		go d.wait()
	}
}

// arm sets the deadline of the next wait. Whoever shortens what it is made of
// wakes the wait up, and may have done so just before the deadline was set.
func (d *direction) arm() {
	for {
		quiet := d.pair.quiet()
		left := quiet - d.pair.sinceMoved()
		if left <= 0 {
			left = quiet // it is overdue, and was allowed to go on
		}
		// A connection that was closed says so to the read that follows.
		_ = d.src.Conn.SetReadDeadline(time.Now().Add(left))
		if d.pair.quiet() == quiet {
			return
		}
	}
}

// overdue says why a pair must end whose wait has reached its deadline; nil
// when something has moved meanwhile, or is about to.
func (p *pair) overdue() error {
	quiet := p.quiet()
	if p.bursts.Load() > 0 || p.sinceMoved() < quiet {
		return nil
	}
	if phase(p.phase.Load()) == bothSpeak && p.client.conn.Interrupted() {
		if !p.answered.Load() && p.sinceMoved() < p.t.Idle {
			return nil // an answer is due
		}
		return wire.ErrInterrupted
	}
	return ErrIdle
}

// end ends a direction: in order, and the other goes on, or both at once.
func (d *direction) end(err error) {
	p := d.pair
	var w *writeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the latter of TLS without its farewell
		if !d.pass() {
			p.abort(nil)
		}
	case errors.As(err, &w) && isBroken(err):
		p.breakOff(err)
		d.ended()
	default:
		p.abort(err)
	}
	p.leave()
}

// pass tells the destination that the source has ended, and reports whether
// the other direction can go on.
func (d *direction) pass() bool {
	ok := d.dst.conn.CloseWrite()
	d.ended()
	return ok
}

// ended notes that this direction has ended, and wakes the other, which has
// less time now.
func (d *direction) ended() {
	p := d.pair
	to := serverEnded
	if d == &p.up {
		to = clientEnded
	}
	p.phase.CompareAndSwap(int32(bothSpeak), int32(to))
	_ = d.dst.Conn.SetReadDeadline(time.Now().Add(p.quiet()))
}

// writeError is an error of the destination.
type writeError struct{ err error }

func (w *writeError) Error() string { return w.err.Error() }
func (w *writeError) Unwrap() error { return w.err }

func writeFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrStuck
	}
	return &writeError{err}
}

// isBroken reports whether an error says that a connection was reset.
func isBroken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
