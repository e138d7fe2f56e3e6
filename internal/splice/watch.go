package splice

import (
	"sync"
	"time"
)

// sweepEvery is how often pairs are asked whether they are overdue: time-outs
// of this package are that much longer at most.
const sweepEvery = time.Second

// linger is how long the watch outlives the last pair: where one comes after
// the other, making it anew for each would cost more than the pair.
const linger = 100 * time.Millisecond

// watch knows all pairs. One goroutine, which lives as long as there are any,
// ends those that are overdue and wakes the directions that are parked.
type watch struct {
	mu     sync.Mutex
	pairs  map[uint64]*pair
	last   uint64  // id of a pair
	poller *poller // while there are pairs
	ending bool    // it will be asked soon whether there are any
}

// watched are the pairs of the whole process.
var watched watch

func (w *watch) add(p *pair) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.poller == nil {
		poller, err := newPoller()
		if err != nil {
			return err
		}
		w.poller, w.pairs = poller, make(map[uint64]*pair)
		go w.run(poller)
	}
	w.last++
	p.id, p.poller = w.last, w.poller
	w.pairs[p.id] = p
	return nil
}

func (w *watch) remove(p *pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairs, p.id)
	if len(w.pairs) == 0 && !w.ending {
		w.ending = true
		time.AfterFunc(linger, w.endIfIdle)
	}
}

func (w *watch) endIfIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = false
	if len(w.pairs) == 0 {
		w.poller.close()
		w.poller, w.pairs = nil, nil
	}
}

// run serves one poller until it is closed.
func (w *watch) run(poller *poller) {
	sweep := time.Now().Add(sweepEvery)
	for poller.wait(sweep, w.wake) {
		if now := time.Now(); !now.Before(sweep) {
			sweep = now.Add(sweepEvery)
			w.sweep()
		}
	}
}

// sweep ends the pairs that are overdue.
func (w *watch) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pairs {
		if err := p.overdue(); err != nil {
			go p.abort(err) // closing a TLS layer may take its time
		}
	}
}

// wake lets a parked direction go on; a token says which.
func (w *watch) wake(token uint64) {
	w.mu.Lock()
	p := w.pairs[token>>1]
	w.mu.Unlock()
	if p == nil {
		return // it has ended meanwhile
	}
	d := &p.up
	if token&1 != 0 {
		d = &p.down
	}
	if d.claim() {
		d.drained = false
		go d.run()
	}
}

// token names a direction.
func (d *direction) token() uint64 {
	if d == &d.pair.down {
		return d.pair.id<<1 | 1
	}
	return d.pair.id << 1
}
