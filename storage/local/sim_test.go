package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// life is one user's mail as it should be, and what happens to it next, which
// depends on nothing but the seed and how much has happened. Two runs of a
// life are the same, one with a store and one without.
type life struct {
	user  string
	seed  uint64
	steps int
	boxes [2]lifeBox // INBOX and Other
	kept  []lifeKept // by the order in which they were expunged
}

// lifeKept is an expunged message that can be restored, if the user's domain
// retains them.
type lifeKept struct {
	from string
	lifeMail
}

// retains is the domain of lives whose expunged messages can be restored, and
// of which it is kept and checked what they hold.
const retains = "@retains.test"

func lifeSettings(domain string) storage.Settings {
	if "@"+domain != retains {
		return storage.Settings{}
	}
	return storage.Settings{Retention: 1000 * time.Hour, Quota: ample}
}

type lifeBox struct {
	next uint32
	mail []lifeMail
	gone []uint32
}

type lifeMail struct {
	uid   uint32
	flags storage.Flags
	text  string
}

var lifeNames = [2]string{storage.Inbox, "Other"}

func newLife(user string, seed uint64) *life {
	return &life{user: user, seed: seed, boxes: [2]lifeBox{{next: 1}, {next: 1}}}
}

func (l *life) clone() *life {
	c := *l
	for i := range c.boxes {
		c.boxes[i].mail = slices.Clone(c.boxes[i].mail)
		c.boxes[i].gone = slices.Clone(c.boxes[i].gone)
	}
	c.kept = slices.Clone(c.kept)
	return &c
}

// print is the life in one text.
func (l *life) print() string {
	var b strings.Builder
	for i := range l.boxes {
		box := &l.boxes[i]
		fmt.Fprintf(&b, "%s next %d\n", lifeNames[i], box.next)
		for _, m := range box.mail {
			fmt.Fprintf(&b, " %d %v %.60q %d\n", m.uid, m.flags.Names(), m.text, len(m.text))
		}
		slices.Sort(box.gone)
		fmt.Fprintf(&b, " gone %v\n", box.gone)
	}
	for _, k := range l.kept {
		fmt.Fprintf(&b, "kept %s %d %v %.60q %d\n", k.from, k.uid, k.flags.Names(), k.text, len(k.text))
	}
	return b.String()
}

// step makes the next thing happen: here, and in a store when there is one.
func (l *life) step(ctx context.Context, s *Store) error {
	r := rand.New(rand.NewPCG(l.seed, uint64(l.steps)))
	l.steps++
	at := r.IntN(2)
	switch n := r.IntN(34); {
	case n < 9:
		return l.deliver(ctx, s, r)
	case n < 15:
		return l.append(ctx, s, r, at)
	case n < 21:
		return l.flag(ctx, s, r, at)
	case n < 24:
		return l.expunge(ctx, s, r, at)
	case n < 27:
		return l.copy(ctx, s, r, at)
	case n < 30:
		return l.move(ctx, s, r, at)
	case n < 33:
		return l.undelete(ctx, s, r)
	}
	return l.delete(ctx, s)
}

// lifeText makes a message; some are long.
func lifeText(r *rand.Rand, user string, step int) string {
	lines := r.IntN(20)
	if r.IntN(8) == 0 {
		lines = r.IntN(3000)
	}
	return fmt.Sprintf("Subject: %s %d\r\n\r\n", user, step) + strings.Repeat(fmt.Sprintf("line of %s %d\r\n", user, step), lines)
}

func (l *life) add(at int, f storage.Flags, text string) {
	b := &l.boxes[at]
	b.mail = append(b.mail, lifeMail{b.next, f, text})
	b.next++
}

func (l *life) deliver(ctx context.Context, s *Store, r *rand.Rand) error {
	text := lifeText(r, l.user, l.steps)
	prefix := fmt.Sprintf("Delivered-To: %d\r\n", r.IntN(1000))
	l.add(0, storage.Flags{}, prefix+text)
	l.add(1, storage.NewFlags("list"), text)
	if s == nil {
		return nil
	}
	receipts, err := s.Deliver(ctx, &storage.Delivery{Body: message.FromBytes([]byte(text)), Targets: []storage.Target{
		{User: l.user, Prefix: []byte(prefix)}, {User: l.user, Mailbox: "Other", Create: true, Flags: storage.NewFlags("list")},
	}})
	for _, receipt := range receipts {
		if err == nil {
			err = receipt.Err
		}
	}
	return err
}

// box opens a mailbox of the life. It makes Other, which nothing but a
// delivery makes on its own.
func (l *life) box(ctx context.Context, s *Store, at int) (*mailbox, error) {
	a, err := s.Account(ctx, l.user)
	if err != nil {
		return nil, err
	}
	m, err := a.Mailbox(ctx, lifeNames[at])
	if err == storage.ErrNoMailbox {
		if err = a.Create(ctx, lifeNames[at], storage.NewMailbox{}); err == nil {
			m, err = a.Mailbox(ctx, lifeNames[at])
		}
	}
	if err != nil {
		return nil, err
	}
	return m.(*mailbox), nil
}

func (l *life) append(ctx context.Context, s *Store, r *rand.Rand, at int) error {
	var msgs []storage.NewMessage
	for range 1 + r.IntN(3) {
		text := lifeText(r, l.user, l.steps)
		l.add(at, storage.NewFlags(imap.FlagDraft), text)
		msgs = append(msgs, storage.NewMessage{Body: message.FromBytes([]byte(text)), Flags: storage.NewFlags(imap.FlagDraft)})
	}
	if s == nil {
		return nil
	}
	m, err := l.box(ctx, s, at)
	if err == nil {
		_, err = m.Append(ctx, msgs...)
	}
	return err
}

// some picks a range of UIDs.
func (b *lifeBox) some(r *rand.Rand, n uint32) imap.UIDSet {
	start := 1 + r.Uint32N(b.next)
	return imap.UIDSet{{Start: imap.UID(start), Stop: imap.UID(start + r.Uint32N(n))}}
}

// of returns the messages of a set.
func (b *lifeBox) of(set imap.UIDSet) (list []*lifeMail) {
	walk := uids.Normal(set, 0).Walk()
	for i := range b.mail {
		if walk.Has(imap.UID(b.mail[i].uid)) {
			list = append(list, &b.mail[i])
		}
	}
	return list
}

func (l *life) flag(ctx context.Context, s *Store, r *rand.Rand, at int) error {
	u := storage.FlagUpdate{
		UIDs: l.boxes[at].some(r, 100), Op: imap.StoreFlagsOp(r.IntN(3)),
		Flags: storage.NewFlags([]imap.Flag{imap.FlagSeen, imap.FlagDeleted, "a", "b"}[r.IntN(4)], imap.FlagFlagged),
	}
	for _, m := range l.boxes[at].of(u.UIDs) {
		m.flags = m.flags.Apply(u.Op, u.Flags)
	}
	if s == nil {
		return nil
	}
	m, err := l.box(ctx, s, at)
	if err == nil {
		_, _, err = m.StoreFlags(ctx, u)
	}
	return err
}

func (l *life) remove(at int, set imap.UIDSet) {
	b := &l.boxes[at]
	for _, m := range b.of(set) {
		b.gone = append(b.gone, m.uid)
	}
	b.mail = slices.DeleteFunc(b.mail, func(m lifeMail) bool { return slices.Contains(b.gone, m.uid) })
}

func (l *life) expunge(ctx context.Context, s *Store, r *rand.Rand, at int) error {
	set := l.boxes[at].some(r, 30)
	l.retain(at, set)
	l.remove(at, set)
	if s == nil {
		return nil
	}
	m, err := l.box(ctx, s, at)
	if err == nil {
		_, err = m.Expunge(ctx, set)
	}
	return err
}

func (l *life) retain(at int, set imap.UIDSet) {
	if strings.HasSuffix(l.user, retains) {
		for _, m := range l.boxes[at].of(set) {
			l.kept = append(l.kept, lifeKept{lifeNames[at], *m})
		}
	}
}

// delete deletes Other, which is made again when somebody wants it.
func (l *life) delete(ctx context.Context, s *Store) error {
	l.retain(1, imap.UIDSet{{Start: 1, Stop: math.MaxUint32}})
	l.boxes[1] = lifeBox{next: 1}
	if s == nil {
		return nil
	}
	a, err := s.Account(ctx, l.user)
	if err == nil {
		err = a.Delete(ctx, lifeNames[1])
	}
	if errors.Is(err, storage.ErrNoMailbox) {
		err = nil
	}
	return err
}

// undelete restores some retained messages, or discards them.
func (l *life) undelete(ctx context.Context, s *Store, r *rand.Rand) error {
	if len(l.kept) == 0 {
		return nil
	}
	first := r.IntN(len(l.kept))
	end := first + r.IntN(len(l.kept)-first+1)
	restores := r.IntN(3) > 0
	for _, k := range l.kept[first:end] {
		if restores {
			f := k.flags
			f.System &^= storage.Deleted
			l.add(slices.Index(lifeNames[:], k.from), f, k.text)
		}
	}
	l.kept = slices.Delete(l.kept, first, end)
	if s == nil || first == end {
		return nil
	}
	found, err := s.Account(ctx, l.user)
	if err != nil {
		return err
	}
	a := found.(*account)
	var ids []storage.RetainedID
	for k, err := range a.Retained(ctx) {
		if err != nil {
			return err
		}
		ids = append(ids, k.ID)
	}
	if restores {
		_, err = a.Restore(ctx, "", ids[first:end]...)
	} else {
		_, err = a.Discard(ctx, ids[first:end]...)
	}
	return err
}

func (l *life) copy(ctx context.Context, s *Store, r *rand.Rand, at int) error {
	set := l.boxes[at].some(r, 10)
	for _, m := range l.boxes[at].of(set) {
		l.add(1-at, m.flags, m.text)
	}
	if s == nil {
		return nil
	}
	return l.transfer(ctx, s, at, func(m *mailbox, dest string) error { _, err := m.Copy(ctx, set, dest); return err })
}

func (l *life) move(ctx context.Context, s *Store, r *rand.Rand, at int) error {
	set := l.boxes[at].some(r, 50)
	for _, m := range l.boxes[at].of(set) {
		l.add(1-at, m.flags, m.text)
	}
	l.remove(at, set)
	if s == nil {
		return nil
	}
	return l.transfer(ctx, s, at, func(m *mailbox, dest string) error { _, err := m.Move(ctx, set, dest); return err })
}

func (l *life) transfer(ctx context.Context, s *Store, at int, f func(*mailbox, string) error) error {
	if _, err := l.box(ctx, s, 1-at); err != nil {
		return err
	}
	m, err := l.box(ctx, s, at)
	if err != nil {
		return err
	}
	return f(m, lifeNames[1-at])
}

// read returns the life that a store holds, without its steps.
func readLife(t testing.TB, s *Store, user string) *life {
	t.Helper()
	l := newLife(user, 0)
	for i := range l.boxes {
		m, err := l.box(context.Background(), s, i)
		require.NoError(t, err)
		st, err := m.Status(context.Background())
		require.NoError(t, err)
		b := &l.boxes[i]
		b.next = uint32(st.UIDNext)
		for msg, err := range m.Messages(context.Background(), 0) {
			require.NoError(t, err)
			b.mail = append(b.mail, lifeMail{uint32(msg.UID), msg.Flags, contentOf(t, m, msg.UID)})
		}
		gone, err := m.Expunged(context.Background(), 0)
		require.NoError(t, err)
		for _, r := range gone {
			for uid := r.Start; uid <= r.Stop; uid++ {
				b.gone = append(b.gone, uint32(uid))
			}
		}
	}
	l.kept = readKept(t, s, user)
	return l
}

func readKept(t testing.TB, s *Store, user string) (list []lifeKept) {
	t.Helper()
	found, err := s.Account(context.Background(), user)
	require.NoError(t, err)
	a := found.(*account)
	for k, err := range a.Retained(context.Background()) {
		require.NoError(t, err)
		body, err := a.OpenRetained(context.Background(), k.ID)
		require.NoError(t, err)
		text, err := io.ReadAll(message.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, body.Close())
		list = append(list, lifeKept{k.Mailbox, lifeMail{uint32(k.UID), k.Flags, string(text)}})
	}
	return list
}

func contentOf(t testing.TB, m storage.Mailbox, uid imap.UID) string {
	t.Helper()
	body, err := m.Open(context.Background(), uid)
	require.NoError(t, err)
	defer body.Close()
	text, err := io.ReadAll(message.NewReader(body))
	require.NoError(t, err)
	return string(text)
}

// between finds what a store holds among the moments of a life from at least
// the one that was acknowledged to at most the one that was begun.
func (l *life) between(t testing.TB, s *Store, acked, begun int) *life {
	t.Helper()
	found := readLife(t, s, l.user).print()
	now := l.clone()
	for now.steps < acked {
		require.NoError(t, now.step(context.Background(), nil))
	}
	wanted := now.print()
	for now.print() != found {
		if now.steps >= begun {
			require.Equal(t, wanted, found, "%s after %d steps, %d acknowledged", l.user, begun, acked)
		}
		require.NoError(t, now.step(context.Background(), nil))
	}
	return now
}

// sound requires that nothing is damaged.
func sound(t testing.TB, s *Store, others ...References) {
	t.Helper()
	require.NoError(t, s.Check(context.Background(), func(d Damage) { t.Error(d) }, others...))
}
