package imap

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// searchRun is one search of one mailbox, with what it holds on to from one
// message to the next.
type searchRun struct {
	session *session
	view    *view
	sheets  [rowKinds]*sheet
	scored  bool   // scores are wanted
	scores  []byte // of what was found (RFC 6203 §4)
	logged  bool

	whole  bool     // no limit of messages holds: the client could not be told where it was reached
	lowest imap.UID // see result
}

func (s *session) newRun(v *view) *searchRun { return &searchRun{session: s, view: v} }

// sheet returns the rows of the mailbox that were read before.
func (r *searchRun) sheet(kind rowKind) *sheet {
	if r.sheets[kind] == nil {
		id := sheetID{r.view.box.ID(), r.view.validity, kind}
		r.sheets[kind] = r.session.server.heads.open(id, r.view.len(), r.session.limits.SearchMemory)
	}
	return r.sheets[kind]
}

// pauseEvery is after how many messages a run looks up from its work.
const pauseEvery = 256

// pause is called now and then while a run goes over the messages of the view.
func (r *searchRun) pause(ctx context.Context, done, total int) error {
	r.session.progress(done, total)
	return ctx.Err()
}

// find returns the indexes of the messages that match. A message that is gone
// or can't be read does not match.
func (r *searchRun) find(ctx context.Context, k key) (found []int, err error) {
	c := &candidate{run: r, view: r.view}
	defer c.forget()
	n, budget := r.view.len(), r.budget()
	for step := range n {
		if step%pauseEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.session.progress(step, n)
		i := budget.order(step, n)
		c.take(i)
		if !budget.spend(k, c) {
			continue
		}
		if budget.over {
			r.lowest = budget.lowest
			break
		}
		if k.possible != nil && !k.possible(c) {
			continue
		}
		ok, err := k.match(ctx, c)
		if err != nil {
			if err = r.passOver(ctx, c, err); err != nil {
				return nil, err
			}
			continue
		}
		if !ok {
			continue
		}
		found = append(found, i)
		if r.scored {
			r.scores = append(r.scores, byte(c.score))
		}
	}
	budget.sort(found)
	if budget.limited {
		slices.Reverse(r.scores)
	}
	return found, nil
}

func (r *searchRun) budget() *messageBudget {
	if r.whole {
		return &messageBudget{}
	}
	return r.session.messageBudget()
}

// passOver is asked when a message could not be read; what it returns ends the
// run. One line in the log tells enough of a broken store.
func (r *searchRun) passOver(ctx context.Context, c *candidate, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, storage.ErrNoMailbox):
		return errMailboxGone
	case !errors.Is(err, storage.ErrNoMessage) && !r.logged:
		r.logged = true
		r.session.log(ctx, slog.LevelError, "message could not be searched", err, "mailbox", r.view.name, "uid", c.entry.uid)
	}
	return nil
}
