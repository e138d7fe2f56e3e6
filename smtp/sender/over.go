package sender

import (
	"context"
	"net"
)

// SendOver sends a job to the host at the other end of a connection that
// somebody else has made, secured, and led to the point where EHLO is due: its
// greeting has gone by. Deadlines of nc must work, and bound it, as do the
// Timeouts. nc is closed when SendOver returns.
//
// Of the job's Route only Protocol counts. It returns what Send returns; host
// is the name of the host in it.
func (s *Sender) SendOver(ctx context.Context, nc net.Conn, host string, j *Job) []Result {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeouts.Total)
	defer cancel()
	a := &attempt{sender: s, job: j, results: make([]Result, len(j.Envelope.Recipients)), tries: 1}
	c := &session{plain: nc, release: context.AfterFunc(ctx, func() { nc.Close() })}
	c.end.Name = host
	s.attach(ctx, c, nc, j)
	if err := s.helloAgain(ctx, c, j); err != nil {
		c.close()
		s.o.Logger.InfoContext(ctx, "host not usable", "job", j.ID, "host", host, "err", err)
		a.failed(host, err)
		return a.finish()
	}
	if err := a.over(ctx, c); err != nil {
		s.o.Logger.InfoContext(ctx, "connection lost", "job", j.ID, "host", host, "err", err)
	}
	return a.finish()
}
