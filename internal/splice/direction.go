package splice

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// errPanicked ends a pair in which a connection's own code has panicked.
var errPanicked = errors.New("relay panicked")

// direction is one way of a pair. It moves what is there and waits for more,
// in turns, and is parked when none comes soon.
type direction struct {
	pair     *pair
	src, dst *side
	drained  bool        // nothing is there that is known of: wait
	bulk     bool        // the last burst was long: begin the next with a pipe
	noPipe   bool        // the kernel has refused to splice these two
	polled   bool        // the poller knows the source
	parked   atomic.Bool // no goroutine has it; who claims it goes on with it

	reading reading
}

// init makes a direction ready to run. Octets may be there already if that is
// known, or if only TLS could tell.
func (d *direction) init(p *pair, src, dst *side) {
	d.pair, d.src, d.dst = p, src, dst
	d.drained = src.Raw != nil && !src.TLS && len(src.Ahead) == 0
	d.reading.once = d.reading.try
}

// claim takes a direction that is parked; false: it is not, or not any more.
func (d *direction) claim() bool { return d.parked.CompareAndSwap(true, false) }

// run has a direction until it ends or is parked. Where nothing is ever parked,
// each wait begins in a goroutine of its own, whose stack no burst has grown.
func (d *direction) run() {
	err := errPanicked
	defer func() {
		if err != nil {
			d.end(err)
		}
	}()
	defer logPanic()
	for ; ; err = errPanicked {
		if d.drained {
			var parked bool
			if parked, err = d.wait(); parked || err != nil {
				return
			}
		}
		if err = d.move(); err != nil {
			return
		}
		d.drained = true
		if !parks {
			go d.run()
			return
		}
	}
}

// wait waits until something can be read, or until the direction was parked,
// and holds nothing meanwhile. Its frame is small, and so is what it calls.
func (d *direction) wait() (parked bool, err error) {
	for {
		if d.pair.closed.Load() { // which a connection that lingers does not tell
			return false, net.ErrClosed
		}
		_ = d.src.Conn.SetReadDeadline(time.Now().Add(warm))
		err := d.src.Await()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false, err
		case d.park():
			return true, nil
		}
	}
}

// end ends a direction: in order, and the other goes on, or both at once.
func (d *direction) end(err error) {
	p := d.pair
	d.blame(err)
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

// blame notes whose end ends the pair, unless the pair ends already: the
// source's, or the destination's, which takes nothing more.
func (d *direction) blame(err error) {
	if d.pair.closed.Load() || errors.Is(err, net.ErrClosed) || errors.Is(err, errPanicked) {
		return
	}
	who := d.src
	if _, broken := errors.AsType[*writeError](err); broken || errors.Is(err, ErrStuck) {
		who = d.dst
	}
	party := Client
	if who == &d.pair.server {
		party = Server
	}
	d.pair.first.CompareAndSwap(int32(Nobody), int32(party))
}

// pass tells the destination that the source has ended, and reports whether
// the other direction can go on. Where that has ended, both are closed now,
// which tells it too; TLS has a word of its own for it.
func (d *direction) pass() bool {
	if phase(d.pair.phase.Load()) != bothSpeak && !d.dst.TLS {
		return true
	}
	ok := d.dst.conn.CloseWrite()
	d.ended()
	return ok
}

// ended notes that this direction has ended: the other has less time now.
func (d *direction) ended() {
	to := serverEnded
	if d == &d.pair.up {
		to = clientEnded
	}
	d.touch()
	d.pair.phase.CompareAndSwap(int32(bothSpeak), int32(to))
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
