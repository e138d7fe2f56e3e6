package sender

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
	began   bool // a transaction was begun and not ended by data
}

// run sends the message to some of the job's recipients.
func (t *transaction) run(ctx context.Context, recipients []int) error {
	if t.began {
		if err := t.session.command(t.sender.o.Timeouts.Command, "RSET", 250); err != nil {
			return err
		}
		t.began = false
	}
	w, refusal := t.wording()
	if refusal != nil {
		t.say(recipients, refusal)
		return nil
	}
	taken, err := t.envelope(w, recipients)
	if err != nil || len(taken) == 0 {
		return err
	}
	if w.chunked {
		return t.content(ctx, taken, t.chunk)
	}
	if err := t.session.command(t.sender.o.Timeouts.Command, "DATA", 354); err != nil {
		return t.answer(flatten(taken), err)
	}
	return t.content(ctx, taken, t.lines)
}

// envelope sends MAIL and RCPT and returns the recipients that were taken,
// those together that were sent as one because they read the same.
func (t *transaction) envelope(w wording, recipients []int) (taken [][]int, err error) {
	commands := []string{w.mail}
	var groups [][]int
	at := make(map[mail.Address]int)
	for _, i := range recipients {
		to := t.job.Envelope.Recipients[i].To
		rcpt, refusal := w.recipient(t.job.Envelope.Recipients[i])
		if refusal != nil {
			t.say([]int{i}, refusal)
			continue
		}
		n, ok := at[to]
		if !ok {
			n = len(groups)
			at[to] = n
			groups, commands = append(groups, nil), append(commands, rcpt)
		}
		groups[n] = append(groups[n], i)
	}
	if len(groups) == 0 {
		return nil, nil
	}
	errs, err := t.session.commands(t.sender.o.Timeouts.Command, commands)
	if err != nil {
		return nil, err
	}
	if errs[0] != nil {
		return nil, t.answer(flatten(groups), errs[0])
	}
	t.began = true
	for n, group := range groups {
		if errs[n+1] == nil {
			taken = append(taken, group)
		} else if err := t.answer(group, errs[n+1]); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

func flatten(groups [][]int) []int { return slices.Concat(groups...) }

// content sends the content in one of two forms and takes the answers.
func (t *transaction) content(ctx context.Context, taken [][]int, write func(*source) error) error {
	t.began = false
	all := flatten(taken)
	if err := t.session.guard.SetDeadline(time.Time{}); err != nil { // a deadline for each write
		return err
	}
	content := &source{r: message.NewReader(t.job.Body)}
	err := write(content)
	switch {
	case content.err != nil: // ours, not the peer's: without its end nothing was sent
		t.say(all, mail.ErrTemporary.Because(content.err))
		return errUnreadable
	case err != nil:
		return t.farewell(all, err)
	}
	return t.answers(ctx, taken)
}

var errUnreadable = errors.New("the content could not be read")

// lines writes content as DATA wants it.
func (t *transaction) lines(content *source) error {
	w := newDataWriter(t.session.guard, t.job.Body.Size())
	if _, err := io.Copy(w, content); err != nil {
		return err
	}
	return w.end()
}

// chunk writes content as it is, in one piece (RFC 3030 §2).
func (t *transaction) chunk(content *source) error {
	w := bufio.NewWriterSize(t.session.guard, 64<<10)
	_, _ = fmt.Fprintf(w, "BDAT %d LAST\r\n", t.job.Body.Size()) // an error stays and comes with the next
	if _, err := io.Copy(w, content); err != nil {
		return err
	}
	return w.Flush()
}

// answers takes the answer to the content: one for all, or with LMTP one for
// each RCPT that was taken, in order (RFC 2033 §4.2). What has no answer may
// have been taken nevertheless: it is tried again later, but not elsewhere.
func (t *transaction) answers(ctx context.Context, taken [][]int) error {
	if err := t.session.guard.SetDeadline(time.Now().Add(t.sender.o.Timeouts.DataEnd)); err != nil {
		return err
	}
	if t.job.Route.Protocol == SMTP {
		taken = [][]int{flatten(taken)}
	}
	t.session.guard.allow(len(taken))
	replies := t.session.replies()
	for i, recipients := range taken {
		text, err := readReply(replies, 2)
		if err == nil {
			t.settle(recipients, Result{Reply: accepted(text), Host: t.session.end.Name, DSN: t.has("DSN")})
		} else if t.answer(recipients, err) != nil {
			for _, rest := range taken[i:] {
				t.say(rest, replyTo(ctx, err, lost))
			}
			return err
		}
	}
	return nil
}

// farewell looks whether a peer that closed the connection amid the content
// has said why.
func (t *transaction) farewell(taken []int, cause error) error {
	if errors.Is(cause, os.ErrDeadlineExceeded) { // it did not close, it stopped reading
		return cause
	}
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
