package imap

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// liveContext is a search whose client is told how the result changes (RFC 5267
// §4.3). It is of the selected mailbox and ends with it.
type liveContext struct {
	tag     string
	request *searchRequest
	uids    []imap.UID // the result as the client knows it, in its order
	next    imap.UID   // messages from here on were not looked at
	modseq  uint64     // changes after this were not looked at
}

// Bounds of the searches of a session that are kept up to date.
const (
	maxContexts       = 8
	maxContextResults = 200_000
	maxContextSorted  = 20_000 // of a SORT: what comes is sorted in among all of them
)

// inUse reports whether a tag names a search that is kept up to date.
func (s *session) inUse(tag string) bool {
	return slices.ContainsFunc(s.contexts, func(x *liveContext) bool { return x.tag == tag })
}

// keepContext begins to tell of changes, or says that it won't: a search that
// changes with the numbers of messages or with time can't be followed by looking
// at the messages that change.
func (s *session) keepContext(r *searchRequest, found []int) {
	if r.key.fleeting || r.needsScores() || len(found) > r.mostFollowed() || len(s.contexts) >= maxContexts {
		s.tellNoUpdate(s.running.tag)
		return
	}
	x := &liveContext{tag: s.running.tag, request: r, uids: make([]imap.UID, len(found)), next: s.view.last() + 1}
	for k, i := range found {
		x.uids[k] = s.view.at(i).uid
	}
	for i := range s.view.len() {
		x.modseq = max(x.modseq, s.view.at(i).modseq)
	}
	s.contexts = append(s.contexts, x)
}

// mostFollowed is how many results of the search are kept up to date at most.
func (r *searchRequest) mostFollowed() int {
	if r.order != nil {
		return maxContextSorted
	}
	return maxContextResults
}

func (s *session) tellNoUpdate(tag string) {
	o := &s.out
	o.text("* NO [NOUPDATE ")
	o.string(tag)
	o.text("] Search is not kept up to date")
	o.end()
}

// parseCancelUpdate reads CANCELUPDATE (RFC 5267 §4.3.5).
func parseCancelUpdate(p *parser) request {
	var tags []string
	for more := true; more && p.err == nil; more = p.more() {
		p.space()
		tags = append(tags, p.string())
	}
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		for _, tag := range tags {
			if !s.inUse(tag) {
				return result{}, bad("No search with that tag is kept up to date")
			}
		}
		s.contexts = slices.DeleteFunc(s.contexts, func(x *liveContext) bool { return slices.Contains(tags, x.tag) })
		return result{}, nil
	})
}

// tellGone tells of results that are expunged, before the client is told that
// they are: the numbers still mean what they meant. gone are the indexes that
// they had, uids their UIDs.
func (s *session) tellGone(gone []int, uids imap.UIDSet) {
	if len(s.contexts) == 0 || len(gone) == 0 {
		return
	}
	was := make(map[imap.UID]int, len(gone)) // its index
	k := 0
	for _, r := range uids {
		for uid := r.Start; uid <= r.Stop && k < len(gone); uid++ {
			was[uid] = gone[k]
			k++
		}
	}
	for _, x := range s.contexts {
		x.remove(s, func(uid imap.UID) (uint32, bool) {
			i, ok := was[uid]
			if x.request.kind == byUID {
				return uint32(uid), ok
			}
			return uint32(i + 1), ok
		})
	}
}

// tellContexts tells how results changed, after the client was told how the
// mailbox did.
func (s *session) tellContexts(ctx context.Context, v *view) {
	for _, x := range slices.Clone(s.contexts) {
		err := x.update(ctx, s, v)
		if err != nil && ctx.Err() == nil {
			s.log(ctx, slog.LevelWarn, "search could not be kept up to date", err, "mailbox", v.name)
			s.contexts = slices.DeleteFunc(s.contexts, func(y *liveContext) bool { return x == y })
			s.tellNoUpdate(x.tag)
		}
	}
}

// update looks at messages that changed or came since the last time.
func (x *liveContext) update(ctx context.Context, s *session, v *view) error {
	run, modseq := s.newRun(v), x.modseq
	c := &candidate{run: run, view: v}
	defer c.forget()
	var members map[imap.UID]bool
	out := make(map[imap.UID]uint32)
	var in []int
	for i := range v.len() {
		e := v.at(i)
		if e.modseq <= x.modseq && e.uid < x.next {
			continue
		}
		modseq = max(modseq, e.modseq)
		if members == nil {
			members = x.members()
		}
		c.take(i)
		ok, err := x.request.key.match(ctx, c)
		if errors.Is(err, storage.ErrNoMessage) {
			continue // the client will hear that it is gone
		} else if err != nil {
			return err
		}
		switch {
		case ok && !members[e.uid]:
			in = append(in, i)
		case !ok && members[e.uid]:
			out[e.uid] = v.number(i, x.request.kind)
		}
	}
	if len(out) > 0 {
		x.remove(s, func(uid imap.UID) (uint32, bool) { n, ok := out[uid]; return n, ok })
	}
	x.modseq, x.next = modseq, max(x.next, v.last()+1)
	if len(x.uids)+len(in) > x.request.mostFollowed() {
		return errors.New("too many results")
	}
	return x.insert(ctx, run, in)
}

func (x *liveContext) members() map[imap.UID]bool {
	m := make(map[imap.UID]bool, len(x.uids))
	for _, uid := range x.uids {
		m[uid] = true
	}
	return m
}

// begin begins a response about a change.
func (x *liveContext) begin(o *output, change string) {
	o.text("* ESEARCH (TAG ")
	o.string(x.tag)
	o.byte(')')
	if x.request.kind == byUID {
		o.text(" UID")
	}
	o.text(change)
}

// remove takes results away that number knows. Those of a SORT are told from
// the last one on, so that each place means what it meant before.
func (x *liveContext) remove(s *session, number func(imap.UID) (uint32, bool)) {
	kept := make([]imap.UID, 0, len(x.uids))
	var places, numbers []uint32
	for k, uid := range x.uids {
		if n, ok := number(uid); ok {
			places, numbers = append(places, uint32(k+1)), append(numbers, n)
			continue
		}
		kept = append(kept, uid)
	}
	if len(numbers) == 0 {
		return
	}
	x.uids = kept
	if x.request.order != nil {
		slices.Reverse(places)
		slices.Reverse(numbers)
	}
	x.tell(&s.out, " REMOVEFROM (", places, numbers)
}

// tell writes a change, and where it is. The results of a SEARCH have no order
// that matters: their place is 0 (RFC 5267 §4.3.3).
func (x *liveContext) tell(o *output, change string, places, numbers []uint32) {
	x.begin(o, change)
	if x.request.order == nil {
		o.text("0 ")
		o.b = appendUIDs(o.b, numbers)
		o.byte(')')
		o.end()
		return
	}
	for k, n := range numbers {
		if k > 0 {
			o.byte(' ')
		}
		o.number(uint64(places[k]))
		o.byte(' ')
		o.number(uint64(n))
	}
	o.byte(')')
	o.end()
}

// insert adds messages at some indexes.
func (x *liveContext) insert(ctx context.Context, run *searchRun, in []int) error {
	if len(in) == 0 {
		return nil
	}
	v, old := run.view, x.uids
	all := slices.Clone(in)
	for _, uid := range old {
		if i, ok := v.find(uid); ok {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	if x.request.order != nil {
		sorted, err := run.sort(ctx, x.request.order, hits{at: all})
		if err != nil {
			return err
		}
		all = sorted.at
	}
	var places, numbers []uint32
	x.uids = make([]imap.UID, len(all))
	for k, i := range all {
		x.uids[k] = v.at(i).uid
		if _, ok := slices.BinarySearch(in, i); ok {
			places, numbers = append(places, uint32(k+1)), append(numbers, v.number(i, x.request.kind))
		}
	}
	x.tell(&run.session.out, " ADDTO (", places, numbers)
	return nil
}
