package sender

import (
	"context"
	"errors"
	"io"
	"time"

	smtp "github.com/emersion/go-smtp"

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
	data, err := t.session.Data()
	if err != nil {
		return t.answer(taken, err)
	}
	t.began = false
	return t.data(ctx, data, taken)
}

// recipients sends the RCPT commands and returns those that were taken.
func (t *transaction) recipients(recipients []int, w wording) (taken []int, err error) {
	t.spelled = make(map[int]string, len(recipients))
	first := make(map[string]int) // LMTP answers by address: send each one once
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

// data sends the content and takes the answer.
func (t *transaction) data(ctx context.Context, data *smtp.DataCommand, taken []int) error {
	content := &source{r: message.NewReader(t.job.Body)}
	if _, err := io.Copy(&lines{w: data}, content); err != nil {
		if content.err != nil { // ours, not the peer's: without the final dot nothing was sent
			t.say(taken, mail.ErrTemporary.Because(content.err))
			return errors.New("the content could not be read")
		}
		return t.farewell(taken, err)
	}
	if t.job.Route.Protocol == LMTP {
		t.session.guard.allow(len(taken))
		return t.lmtp(data, taken)
	}
	answer, err := data.CloseWithResponse()
	if err == nil {
		t.sent(taken, answer.StatusText)
		return nil
	}
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok && e.Code/100 == 2 { // the client wants exactly 250
		t.sent(taken, e.Message)
		return nil
	}
	if _, ok := answered(err); !ok {
		t.say(taken, replyTo(ctx, err, lost))
		return err
	}
	return t.answer(taken, err)
}

// farewell looks whether a peer that closed the connection amid the content
// has said why.
func (t *transaction) farewell(taken []int, cause error) error {
	_ = t.session.guard.SetDeadline(time.Now().Add(2 * time.Second))
	if _, _, err := t.session.answer(250); err != nil {
		if reply, ok := answered(err); ok {
			t.say(taken, reply)
		}
	}
	return cause
}

// lmtp takes one answer for each recipient.
func (t *transaction) lmtp(data *smtp.DataCommand, taken []int) error {
	answers, err := data.CloseWithLMTPResponse()
	refusals, _ := errors.AsType[smtp.LMTPDataError](err)
	for _, i := range taken {
		to := t.spelled[i]
		switch e := refusals[to]; {
		case answers[to] != nil:
			t.sent([]int{i}, answers[to].StatusText)
		case e == nil:
			t.say([]int{i}, lost.Because(err))
		case e.Code/100 == 2:
			t.sent([]int{i}, e.Message)
		default:
			t.say([]int{i}, refused(e))
		}
	}
	if refusals == nil {
		return err
	}
	return nil
}

// sent notes a success.
func (t *transaction) sent(recipients []int, text string) {
	t.settle(recipients, Result{Reply: accepted(text), Host: t.session.end.Name, DSN: t.has("DSN")})
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
