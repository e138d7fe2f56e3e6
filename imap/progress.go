package imap

import (
	"strconv"
	"time"
)

// pace says when the next report on how far a command is comes due.
type pace struct {
	every  time.Duration // 0 or less: never
	due    time.Time     // zero: the clock was not read since the command began
	seen   time.Time     // when the clock was read last
	skip   int           // calls until it is read again
	stride int           // between readings
}

// maxStride bounds how many steps of a command pass between two readings of
// the clock; fewer pass where steps are slow.
const maxStride = 32

func (p *pace) begin() { *p = pace{every: p.every} }

// isDue reports whether a report is due now.
func (p *pace) isDue() bool {
	if p.every <= 0 {
		return false
	}
	if p.skip > 0 {
		p.skip--
		return false
	}
	now := time.Now()
	switch {
	case p.due.IsZero():
		p.due = now.Add(p.every)
	case now.Sub(p.seen) < time.Millisecond:
		p.stride = min(2*p.stride+1, maxStride)
	default:
		p.stride = 0
	}
	p.seen, p.skip = now, p.stride
	if now.Before(p.due) {
		return false
	}
	p.due = now.Add(p.every)
	return true
}

// progress tells the client, every few seconds, how much of a long command is
// done (RFC 9585). A command calls it as often as it likes, between responses;
// when nothing is due it costs next to nothing. total 0 means that it is not
// known. What is told, with all responses before it, is sent at once.
func (s *session) progress(done, total int) {
	if !s.pace.isDue() {
		return
	}
	goal := "NIL"
	if total > 0 {
		goal = strconv.Itoa(total)
	}
	s.out.status("*", "OK", `INPROGRESS ("`+s.running.tag+`" `+strconv.Itoa(done)+" "+goal+")", "Still at it")
	s.out.spill()
	_ = s.conn.Flush() // whoever writes next finds the error
}

// patiently runs f, which can't say how far it is, and tells the client every
// few seconds that it runs. f must not write to the client.
func (s *session) patiently(f func()) {
	if s.pace.every <= 0 {
		f()
		return
	}
	s.out.spill()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.tellPatience(done)
	}()
	defer func() {
		close(done)
		<-ended
	}()
	f()
}

// tellPatience reports until done is closed. The session does not touch its
// output meanwhile.
func (s *session) tellPatience(done <-chan struct{}) {
	ticker := time.NewTicker(s.pace.every)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			s.out.status("*", "OK", `INPROGRESS ("`+s.running.tag+`" NIL NIL)`, "Still at it")
			s.out.spill()
			_ = s.conn.Flush()
		}
	}
}
