package local

import (
	"context"
	"time"
)

// Stats are figures of a queue.
type Stats struct {
	Messages     int64     `json:"messages"`
	Recipients   int64     `json:"recipients"`
	Octets       int64     `json:"octets"`       // of the messages' contents
	Destinations int64     `json:"destinations"` // that somebody waits for
	Claims       int64     `json:"claims"`       // that are held
	Oldest       time.Time `json:"oldest"`       // when the message was accepted that is here longest; zero: there is none
}

// Stats counts the queue as it stands at one moment. It reads the whole list of
// what is queued, and no content.
func (q *Queue) Stats(ctx context.Context) (s Stats, err error) {
	if err := q.ready(ctx); err != nil {
		return s, err
	}
	err = q.engine.Scan(ctx, []byte{messagePrefix}, []byte{messagePrefix + 1}, func(k, v []byte) error {
		n, whole, ok := parseMessageKey(k)
		switch {
		case !ok || n.number == leftNumber:
		case whole:
			m, only, err := decodeMessage(v)
			if err != nil {
				return nil // a check reports it
			}
			s.Messages++
			s.Octets += m.size
			if only != nil {
				s.Recipients++
			}
			if at := moment(m.received); s.Oldest.IsZero() || at.Before(s.Oldest) {
				s.Oldest = at
			}
		default:
			s.Recipients++
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Destinations, s.Claims = int64(len(q.schedule.destinations)), int64(len(q.schedule.leases))
	return s, err
}
