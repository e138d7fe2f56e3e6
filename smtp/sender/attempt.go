package sender

import (
	"context"
	"errors"
	"slices"

	"github.com/posthouse-mail/posthouse/mail"
)

// attempt is one job under way: what is known of its recipients so far.
type attempt struct {
	sender  *Sender
	job     *Job
	results []Result
	tries   int // connections tried

	worst Result // what recipients without an answer get in the end
}

// finished reports whether there is nothing left to try.
func (a *attempt) finished(ctx context.Context) bool {
	return len(a.open()) == 0 || a.tries >= a.sender.o.MaxAttempts || ctx.Err() != nil
}

// open returns the recipients that have no answer yet.
func (a *attempt) open() []int {
	var open []int
	for i := range a.results {
		if a.results[i].Reply == nil {
			open = append(open, i)
		}
	}
	return open
}

// settle gives recipients their answer.
func (a *attempt) settle(recipients []int, r Result) {
	for _, i := range recipients {
		a.results[i] = r
	}
}

// failed notes why a host could not be used. In the end a temporary reason
// wins over a permanent one: another host may still take the message later.
func (a *attempt) failed(host string, err error) {
	r := mail.AsReply(err)
	if a.worst.Reply == nil || r.Temporary() && !a.worst.Reply.Temporary() {
		a.worst = Result{Reply: r, Host: host}
	}
}

// host tries the addresses of one host.
func (a *attempt) host(ctx context.Context, c candidate) {
	ends, err := a.sender.endpoints(ctx, c)
	if err != nil {
		a.failed(c.Name, err)
		return
	}
	for _, e := range ends {
		if a.finished(ctx) {
			return
		}
		a.tries++
		a.endpoint(ctx, e)
	}
}

// endpoint tries one address.
func (a *attempt) endpoint(ctx context.Context, e endpoint) {
	log := a.sender.o.Logger.With("job", a.job.ID, "host", e.Name, "address", e.address)
	session, err := a.sender.connect(ctx, e, a.job)
	if err != nil {
		log.InfoContext(ctx, "host not usable", "err", err)
		a.failed(e.Name, err)
		return
	}
	if err := a.over(ctx, session); err != nil {
		log.InfoContext(ctx, "connection lost", "err", err)
	}
}

// over sends to the recipients without an answer over a session, and ends it.
// The error says why it could not go on, and was noted.
func (a *attempt) over(ctx context.Context, session *session) error {
	t := &transaction{attempt: a, session: session}
	for batch := range slices.Chunk(a.open(), a.sender.o.MaxRecipients) {
		if err := t.run(ctx, batch); err != nil {
			session.close()
			a.failed(session.end.Name, replyTo(ctx, err, lost))
			return err
		}
	}
	session.quit()
	return nil
}

// finish gives those without an answer the reason why.
func (a *attempt) finish() []Result {
	if a.worst.Reply == nil {
		a.worst.Reply = noAnswer.Because(errors.New("there was no time to try any host"))
	}
	a.settle(a.open(), a.worst)
	return a.results
}
