package processing

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Schedule says when a recipient that could not be reached is tried again.
// The zero value waits 5, 10, 20, 40, 80 and 160 minutes, then 4 hours each
// time, and gives up after 5 days.
type Schedule struct {
	Delays   []time.Duration // after the first attempt, the second, …; the last one repeats
	Lifetime time.Duration   // from acceptance to the last attempt
	Jitter   float64         // each delay varies by this fraction to both sides; 0 means 0.1, negative none
}

func (s Schedule) withDefaults() Schedule {
	if len(s.Delays) == 0 {
		m := time.Minute
		s.Delays = []time.Duration{5 * m, 10 * m, 20 * m, 40 * m, 80 * m, 160 * m, 240 * m}
	}
	s.Delays = slices.Clone(s.Delays)
	if s.Lifetime == 0 {
		s.Lifetime = 5 * 24 * time.Hour
	}
	if s.Jitter == 0 {
		s.Jitter = 0.1
	}
	return s
}

// Next returns when to try again after the given number of failed attempts,
// at least 1, of a message received then. ok is false when its lifetime is
// over. The last attempt is made at the end of the lifetime, not before.
func (s Schedule) Next(attempts int, received, now time.Time) (at time.Time, ok bool) {
	s = s.withDefaults()
	end := received.Add(s.Lifetime)
	if !now.Before(end) {
		return time.Time{}, false
	}
	delay := s.Delays[min(max(attempts, 1), len(s.Delays))-1]
	delay += time.Duration(float64(delay) * min(max(s.Jitter, 0), 1) * (2*rand.Float64() - 1))
	at = now.Add(delay)
	if at.After(end) {
		at = end
	}
	return at, true
}
