package gssapi

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// replays remembers which authenticators were shown (RFC 4120 §3.2.3), each as
// long as it could be shown again: a young and an old generation take turns.
type replays struct {
	most int           // of each generation
	span time.Duration // how long an authenticator may be good after it was shown

	mu         sync.Mutex
	young, old map[sha224]struct{}
	since      time.Time // when the young ones began
}

type sha224 [sha256.Size224]byte

// seen is what is known of an authenticator.
type seen int

const (
	unseen seen = iota // and remembered from now on
	again
	untold // there is no room to remember it
)

func newReplays(most int, span time.Duration) *replays {
	return &replays{most: (most + 1) / 2, span: span, young: map[sha224]struct{}{}}
}

// add remembers an authenticator.
func (r *replays) add(id sha224, now time.Time) seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.since); age >= r.span {
		r.old = r.young
		if age >= 2*r.span {
			r.old = nil
		}
		r.young, r.since = map[sha224]struct{}{}, now
	}
	_, young := r.young[id]
	_, old := r.old[id]
	switch {
	case young || old:
		return again
	case len(r.young) >= r.most:
		return untold
	}
	r.young[id] = struct{}{}
	return unseen
}

// replayID makes one value of what an authenticator is told by.
func replayID(words ...string) sha224 {
	var all []byte
	for _, w := range words {
		all = binary.BigEndian.AppendUint32(all, uint32(len(w)))
		all = append(all, w...)
	}
	return sha256.Sum224(all)
}
