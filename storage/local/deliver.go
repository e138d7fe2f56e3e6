package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/shape"
)

// Deliver stores a message in many mailboxes, as one record of the log.
func (s *Store) Deliver(ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
	st, err := s.stage(ctx, d)
	if err != nil {
		return nil, err
	}
	if st.left == 0 {
		return st.receipts, nil
	}
	st.share()
	if err := st.encodeIndex(); err != nil {
		return nil, err
	}
	c := st.Change(func(*engine.Tx) error {
		if st.stored == 0 {
			return errNothing
		}
		return nil
	})
	if err := failure(st.Try(ctx, func() error { return s.e.Commit(ctx, c) })); err != nil {
		return nil, err
	}
	return st.receipts, nil
}

// Try calls commit, which commits the delivery's Change, and calls it once
// more when it had to be found out first what the accounts hold.
func (st *Staged) Try(ctx context.Context, commit func() error) error {
	return st.s.counting(ctx, commit)
}

// Staged is a delivery with all that can be done before it is its turn: names
// are checked and the message is indexed. It becomes part of one change of the
// engine, see Change.
type Staged struct {
	s        *Store
	d        *storage.Delivery
	body     message.Body // what is written: shared, and the body of the delivery
	shared   []byte       // the end of all prefixes, see share
	index    []byte       // of what is written, encoded; nil: made when somebody asks
	date     stamp
	names    []string // empty: the target can't be stored
	receipts []storage.Receipt
	order    []int // of the targets, in which they are stored
	left     int   // targets that can be stored
	stored   int   // targets that Build stored
	o        op
}

// Prepare begins a delivery. Nothing is stored yet.
func (s *Store) Prepare(ctx context.Context, d *storage.Delivery) (*Staged, error) {
	st, err := s.stage(ctx, d)
	if err == nil && st.left > 0 {
		err = st.encodeIndex()
	}
	return st, err
}

// stage checks the targets of a delivery.
func (s *Store) stage(ctx context.Context, d *storage.Delivery) (*Staged, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	n := len(d.Targets)
	st := &Staged{
		s: s, d: d, body: d.Body, date: newStamp(d.Date), names: make([]string, n), receipts: make([]storage.Receipt, n), order: make([]int, n),
		o: op{boxes: make([]*boxChange, 0, n)},
	}
	for i := range d.Targets {
		st.order[i] = i
		if st.names[i], st.receipts[i].Err = checkTarget(&d.Targets[i]); st.receipts[i].Err == nil {
			st.left++
		} else {
			st.names[i] = ""
		}
	}
	return st, nil
}

// maxPrefix bounds a target's prefix, in octets, since it is kept in the index.
const maxPrefix = 64 << 10

// checkTarget returns the clean name of a target's mailbox.
func checkTarget(t *storage.Target) (string, error) {
	if err := checkUser(t.User); err != nil {
		return "", err
	}
	if err := t.Flags.Check(); err != nil {
		return "", err
	}
	if len(t.Prefix) > maxPrefix {
		return "", fmt.Errorf("%w: a prefix of %d octets", storage.ErrLimit, len(t.Prefix))
	}
	if t.Mailbox == "" {
		return storage.Inbox, nil
	}
	name, err := storage.CleanName(t.Mailbox)
	if err != nil && !t.Create {
		err = storage.ErrNoMailbox
	}
	return name, err
}

// smallBody is how large a body is, in octets, when its index is not worth
// keeping until somebody asks for it: it would be as large as the body, and to
// read one costs as much as to read the other.
const smallBody = 2 << 10

// encodeIndex returns the index of a body as it is cached, nil when it need
// not be.
func (s *Store) encodeIndex(b message.Body, index *message.Part) ([]byte, error) {
	if size(b) < smallBody {
		return nil, nil
	}
	index, err := s.index(b, index)
	if err != nil {
		return nil, err
	}
	return index.AppendBinary(nil)
}

// index makes the index of a body, unless it is known.
func (s *Store) index(b message.Body, known *message.Part) (*message.Part, error) {
	if known != nil {
		return known, nil
	}
	index, err := message.Parse(b, s.options.Limits)
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	return index, nil
}

// encodeIndex makes the index of what the delivery writes.
func (st *Staged) encodeIndex() error {
	if size(st.body) < smallBody {
		return nil
	}
	index, err := st.s.index(st.d.Body, st.d.Index)
	if err == nil {
		index, err = shape.Index(st.shared, index, func() (message.OpenBody, error) { return unclosed{st.body}, nil })
	}
	if err == nil {
		st.index, err = index.AppendBinary(nil)
	}
	return err
}

// Change returns the change that stores the delivery, for engine.Commit. build
// adds to it; when it fails, nothing is stored. It is called after Build, so
// that it knows the receipts. Whoever wants more of Done calls the delivery's
// first.
func (st *Staged) Change(build func(*engine.Tx) error) *engine.Change {
	return &engine.Change{
		Body: st.body,
		Build: func(etx *engine.Tx) error {
			err := st.Build(etx)
			if err == nil && build != nil {
				err = build(etx)
			}
			if err != nil {
				st.Undo()
			}
			return err
		},
		Undo: st.Undo,
		Done: st.Done,
	}
}

// Build adds the delivery to a change of the engine whose Body is that of the
// delivery. Targets that can't be stored get a receipt with an error; the
// error of Build itself means that nothing can be stored, and the change must
// be refused. A change that is refused, or not made, after Build must be told
// to Undo.
func (st *Staged) Build(etx *engine.Tx) error {
	st.s.begin(&st.o)
	t := tx{Tx: etx, s: st.s, o: &st.o}
	st.forget()
	err := st.each(func(i int) error { return st.find(t, i) })
	if err == nil {
		st.sort()
		err = st.each(func(i int) error { return st.deliver(t, i) })
	}
	if err == nil && st.o.uncounted != nil {
		err = st.o.takeUncounted()
	}
	if err != nil {
		st.Undo()
		return err
	}
	t.finish()
	if blob := etx.Blob(); blob != 0 && st.stored > 0 {
		etx.Ref(blob, st.stored)
		if st.index != nil {
			etx.Cache(indexKey(place{blob: blob}), st.index)
		}
	}
	return nil
}

// forget forgets what came of an earlier Build.
func (st *Staged) forget() {
	st.stored = 0
	for i := range st.receipts {
		if st.names[i] != "" {
			st.receipts[i] = storage.Receipt{}
		}
	}
}

// each calls f for every target that can be stored, as far as is known.
func (st *Staged) each(f func(i int) error) error {
	for _, i := range st.order {
		r := &st.receipts[i]
		if r.Err != nil {
			continue
		}
		if err := f(i); refusesOne(err) {
			*r = storage.Receipt{Err: err}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// sort puts the targets in the order of their mailboxes, since the index takes
// keys faster in their order.
func (st *Staged) sort() {
	slices.SortFunc(st.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(st.receipts[a].Mailbox, st.receipts[b].Mailbox), a-b)
	})
}

// refusesOne reports errors that concern one target alone.
func refusesOne(err error) bool {
	return errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrBadName) || errors.Is(err, storage.ErrLimit) ||
		errors.Is(err, storage.ErrOverQuota) || errors.Is(err, storage.ErrFrozen) || err == errUncounted // which is for the whole, when all are known
}

// find finds or makes a target's mailbox.
func (st *Staged) find(t tx, i int) (err error) {
	target := &st.d.Targets[i]
	if err := t.s.thawed(target.User); err != nil {
		return err
	}
	t.owner = target.User
	st.receipts[i].Mailbox, err = t.target(target, st.names[i], st.size(i))
	return err
}

// size is how many octets a target's message has.
func (st *Staged) size(i int) int64 { return int64(len(st.d.Targets[i].Prefix)) + size(st.d.Body) }

// deliver adds the message to a target's mailbox.
func (st *Staged) deliver(t tx, i int) error {
	target, id := &st.d.Targets[i], st.receipts[i].Mailbox
	t.owner = target.User
	before, err := t.state(id)
	if err != nil {
		return err
	}
	if !target.Over {
		if err := t.room(tree{target.User, before.account}, &before, storage.Quota{Bytes: st.size(i), Messages: 1}); err != nil {
			return err
		}
	}
	m := record{
		listed: listed{row{flags: target.Flags.System, date: st.date}, target.Flags.Keywords},
		place:  place{blob: t.Blob()},
		prefix: target.Prefix[:len(target.Prefix)-len(st.shared)],
	}
	m.size = st.size(i)
	c, err := t.add(id, before, []record{m})
	if err != nil {
		return err
	}
	st.stored++
	st.receipts[i] = storage.Receipt{Mailbox: id, UIDValidity: c.after.validity, UID: uidOf(c.added[0])}
	return nil
}

// Undo takes back what Build did in memory, when the change is not made. It
// may be called twice, and without a Build.
func (st *Staged) Undo() { st.s.pending.undo(&st.o) }

// Done publishes the delivery, when the change is made.
func (st *Staged) Done() { st.s.done(&st.o) }

// Receipts returns a receipt per target, in order. They hold once the change
// is made.
func (st *Staged) Receipts() []storage.Receipt { return st.receipts }

// target finds or makes the mailbox of a delivery of so many octets. It makes
// the account, too.
func (t tx) target(to *storage.Target, name string, size int64) (storage.MailboxID, error) {
	user := to.User
	if t.s.pending.trees[user] == 0 {
		if id, err := t.targetKnown(user, name); err != nil || id != 0 {
			return id, err
		}
	}
	g, err := t.account(tree{user: user})
	if errors.Is(err, storage.ErrNoMailbox) {
		g, err = t.newAccount(user)
	}
	if err != nil {
		return 0, err
	}
	b, ok, err := g.find(name)
	switch {
	case err != nil:
		return 0, err
	case ok:
		return b.id, nil
	case !to.Create:
		return 0, storage.ErrNoMailbox
	}
	if g.over = to.Over; !g.over { // nothing is made for what has no room in it
		if err := t.room(g.tree, &state{account: g.tree.id}, storage.Quota{Bytes: size, Messages: 1}); err != nil {
			return 0, err
		}
	}
	id, err := g.create(name, storage.NewMailbox{}, subscribed)
	if err == nil {
		g.save()
	}
	return id, err
}

// targetKnown finds a mailbox of an account whose tree nobody is changing. It
// returns 0 when there is none.
func (t tx) targetKnown(user, name string) (storage.MailboxID, error) {
	s := t.s
	k, ok := s.users.peek(user)
	if !ok {
		rec, there, err := getAccount(s.e, user)
		if err != nil || !there {
			return 0, err
		}
		k = &known{id: rec.id, quota: rec.quota, boxes: make(map[string]storage.MailboxID, 1)}
		s.users.put(user, k)
	}
	if id := k.boxes[name]; id != 0 {
		return id, nil
	}
	s.key = append(s.key[:0], nameKey(keyName, k.id, name)...)
	v, there, err := s.e.Get(s.key)
	if err != nil || !there {
		return 0, failure(err)
	}
	b, err := parseBox(v)
	if err != nil {
		return 0, err
	}
	if len(k.boxes) >= maxKnown {
		clear(k.boxes)
	}
	k.boxes[name] = b.id
	return b.id, nil
}
