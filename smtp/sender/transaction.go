package sender

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// transaction is a message on its way over one session. Its methods return
// an error when the session can't go on; recipients without an answer are
// then tried elsewhere.
type transaction struct {
	*attempt
	session *session
	began   bool           // a transaction was begun and not ended by data
	spelled map[int]string // the recipients of the transaction as they were sent
}

// run sends the message to some of the job's recipients.
func (t *transaction) run(ctx context.Context, recipients []int) error {
	if t.began {
		if err := t.session.Reset(); err != nil {
			return err
		}
		t.began = false
	}
	w, refusal := t.wording()
	if refusal != nil {
		t.say(recipients, refusal)
		return nil
	}
	if err := t.session.Mail(w.from, &w.options); err != nil {
		return t.answer(recipients, err)
	}
	t.began = true
	taken, err := t.recipients(recipients, w)
	if err != nil || len(taken) == 0 {
		return err
	}
	if err := t.session.command(t.sender.o.Timeouts.Command, "DATA", 354); err != nil {
		return t.answer(taken, err)
	}
	t.began = false
	return t.data(ctx, taken)
}

// recipients sends the RCPT commands and returns those that were taken.
func (t *transaction) recipients(recipients []int, w wording) (taken []int, err error) {
	t.spelled = make(map[int]string, len(recipients))
	first := make(map[string]int) // the same words are said once
	for _, i := range recipients {
		to, options, refusal := w.recipient(t.job.Envelope.Recipients[i])
		if refusal != nil {
			t.say([]int{i}, refusal)
			continue
		}
		t.spelled[i] = to
		if twin, ok := first[to]; ok {
			if t.results[twin].Reply != nil {
				t.results[i] = t.results[twin]
			} else {
				taken = append(taken, i)
			}
			continue
		}
		first[to] = i
		if err := t.session.Rcpt(to, &options); err != nil {
			if err := t.answer([]int{i}, err); err != nil {
				return nil, err
			}
			continue
		}
		taken = append(taken, i)
	}
	return taken, nil
}

// data sends the content and takes the answers.
func (t *transaction) data(ctx context.Context, taken []int) error {
	if err := t.session.guard.SetDeadline(time.Time{}); err != nil { // a deadline for each write
		return err
	}
	content := &source{r: message.NewReader(t.job.Body)}
	w := newDataWriter(t.session.guard, t.job.Body.Size())
	if _, err := io.Copy(w, content); err != nil && content.err == nil {
		return t.farewell(taken, err)
	}
	if content.err != nil { // ours, not the peer's: without the final dot nothing was sent
		t.say(taken, mail.ErrTemporary.Because(content.err))
		return errUnreadable
	}
	if err := w.end(); err != nil {
		return t.farewell(taken, err)
	}
	return t.answers(ctx, taken)
}

var errUnreadable = errors.New("the content could not be read")

// answers takes the answer to the content: one for all, or with LMTP one for
// each RCPT that was taken, in order (RFC 2033 §4.2). What has no answer may
// have been taken nevertheless: it is tried again later, but not elsewhere.
func (t *transaction) answers(ctx context.Context, taken []int) error {
	if err := t.session.guard.SetDeadline(time.Now().Add(t.sender.o.Timeouts.DataEnd)); err != nil {
		return err
	}
	each := [][]int{taken}
	if t.job.Route.Protocol == LMTP {
		each = t.bySpelling(taken)
		t.session.guard.allow(len(each))
	}
	replies := t.session.replies()
	for i, recipients := range each {
		text, err := readReply(replies, 2)
		if err == nil {
			t.settle(recipients, Result{Reply: accepted(text), Host: t.session.end.Name, DSN: t.has("DSN")})
		} else if t.answer(recipients, err) != nil {
			for _, rest := range each[i:] {
				t.say(rest, replyTo(ctx, err, lost))
			}
			return err
		}
	}
	return nil
}

// bySpelling groups recipients that were sent as one.
func (t *transaction) bySpelling(taken []int) (groups [][]int) {
	at := make(map[string]int)
	for _, i := range taken {
		n, ok := at[t.spelled[i]]
		if !ok {
			n = len(groups)
			at[t.spelled[i]] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

// farewell looks whether a peer that closed the connection amid the content
// has said why.
func (t *transaction) farewell(taken []int, cause error) error {
	_ = t.session.guard.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := readReply(t.session.replies(), 2); err != nil {
		if reply, ok := answered(err); ok {
			t.say(taken, reply)
		}
	}
	return cause
}

// say notes a reply that is not a success.
func (t *transaction) say(recipients []int, r *mail.Reply) {
	t.settle(recipients, Result{Reply: r, Host: t.session.end.Name})
}

// answer notes the peer's refusal, or returns the error when it is none.
func (t *transaction) answer(recipients []int, err error) error {
	reply, ok := answered(err)
	if !ok {
		return err
	}
	t.say(recipients, reply)
	return nil
}
