package transfer

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

var errBroken = errors.New("broken by the test")

// breaker fails at one step of a run, before it or behind it, and ever after.
type breaker struct {
	at    int  // which step; negative: never
	after bool // the step happens and its answer is lost
	n     int
}

func (b *breaker) broken() bool { return b.at >= 0 && b.n > b.at }

// step does a step.
func (b *breaker) step(do func() error) error {
	if b.broken() {
		return errBroken
	}
	b.n++
	if b.broken() && !b.after {
		return errBroken
	}
	err := do()
	if b.broken() {
		return errors.Join(errBroken, err)
	}
	return err
}

func (b *breaker) disk() error { return b.step(func() error { return nil }) }

// brokenAccount is an account with a breaker before whatever changes it or
// reads a message.
type brokenAccount struct {
	storage.Account
	*breaker
}

func (a brokenAccount) Mailbox(ctx context.Context, name string) (box storage.Mailbox, err error) {
	err = a.step(func() error { box, err = a.Account.Mailbox(ctx, name); return err })
	return brokenMailbox{box, a.breaker}, err
}

func (a brokenAccount) Create(ctx context.Context, name string, n storage.NewMailbox) error {
	return a.step(func() error { return a.Account.Create(ctx, name, n) })
}

func (a brokenAccount) Subscribe(ctx context.Context, name string) error {
	return a.step(func() error { return a.Account.Subscribe(ctx, name) })
}

type brokenMailbox struct {
	storage.Mailbox
	*breaker
}

func (m brokenMailbox) Status(ctx context.Context) (s storage.Status, err error) {
	err = m.step(func() error { s, err = m.Mailbox.Status(ctx); return err })
	return s, err
}

func (m brokenMailbox) Open(ctx context.Context, uid imap.UID) (b message.OpenBody, err error) {
	err = m.step(func() error { b, err = m.Mailbox.Open(ctx, uid); return err })
	return b, err
}

func (m brokenMailbox) Append(ctx context.Context, msgs ...storage.NewMessage) (uids []imap.UID, err error) {
	err = m.step(func() error { uids, err = m.Mailbox.Append(ctx, msgs...); return err })
	return uids, err
}

// bareAccount has INBOX and Trash alone.
func bareAccount(t testing.TB) storage.Account {
	t.Helper()
	a := newAccount(t)
	for _, name := range []string{"Drafts", "Junk", "Sent"} {
		require.NoError(t, a.Delete(context.Background(), name))
		require.NoError(t, a.Unsubscribe(context.Background(), name))
	}
	return a
}

// smallAccount has little of everything. With batches of two it has several.
func smallAccount(t testing.TB) storage.Account {
	t.Helper()
	a := bareAccount(t)
	r := rand.New(rand.NewPCG(1, 2))
	same := mail{content: "Subject: same\r\n\r\n", date: time.Unix(5, 0).UTC()}
	put(t, a, "INBOX", randomMail(r), same, same, same, same, same, randomMail(r))
	for range 3 {
		put(t, a, "a.b", randomMail(r))
	}
	require.NoError(t, a.Subscribe(context.Background(), "a.b"))
	return a
}

// TestExportGoesOnAfterAnInterruptionAtEveryStep breaks an export at each of
// its steps in turn, and proves that the next one completes it.
func TestExportGoesOnAfterAnInterruptionAtEveryStep(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a := smallAccount(t)
		want := all(t, a)
		for at := 0; ; at++ {
			dir := t.TempDir()
			b := &breaker{at: at, after: at%2 == 1}
			_, err := Export(context.Background(), brokenAccount{a, b}, dir, format, Options{step: b.disk, batch: 2})
			if !b.broken() {
				require.NoError(t, err)
				t.Logf("%d steps", at)
				require.Greater(t, at, 40)
				return
			}
			require.ErrorIs(t, err, errBroken)
			mustExport(t, a, dir, format)
			to := bareAccount(t)
			mustImport(t, to, dir, format)
			require.Equal(t, want, all(t, to), "interrupted at step %d", at)
		}
	})
}

// TestImportGoesOnAfterAnInterruptionAtEveryStep breaks an import at each of
// its steps in turn, before the step and behind it, twice, and proves that
// the next one completes it without loss and without duplicates.
func TestImportGoesOnAfterAnInterruptionAtEveryStep(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a := smallAccount(t)
		want := all(t, a)
		dir := t.TempDir()
		mustExport(t, a, dir, format)
		for _, after := range []bool{false, true} {
			for at := 0; ; at++ {
				to := bareAccount(t)
				o := Options{Journal: t.TempDir() + "/journal", batch: 2}
				b := &breaker{at: at, after: after}
				o.step = b.disk
				_, err := Import(context.Background(), brokenAccount{to, b}, dir, format, o)
				if !b.broken() {
					require.NoError(t, err)
					require.Greater(t, at, 30)
					break
				}
				require.ErrorIs(t, err, errBroken)
				again := &breaker{at: at % 23}
				o.step = again.disk
				_, _ = Import(context.Background(), brokenAccount{to, again}, dir, format, o)
				o.step = nil
				_, err = Import(context.Background(), to, dir, format, o)
				require.NoError(t, err)
				require.Equal(t, want, all(t, to), "interrupted at step %d, after %v", at, after)
			}
		}
	})
}

// TestABatchThatWasStoredIsRecognizedAmongOtherMail loses the answer of an
// Append while other mail comes in and some of the batch is expunged.
func TestABatchThatWasStoredIsRecognizedAmongOtherMail(t *testing.T) {
	ctx := context.Background()
	from := newAccount(t)
	for i := range 10 {
		put(t, from, "INBOX", mail{content: "Subject: same\r\n\r\n", date: time.Unix(int64(i), 0)})
	}
	dir := t.TempDir()
	mustExport(t, from, dir, Maildir)
	other := mail{content: "Subject: other\r\n\r\n", date: time.Unix(100, 0)}
	for _, gone := range []imap.UIDSet{nil, imap.UIDSetNum(3), imap.UIDSetNum(12), {{Start: 4, Stop: 11}}} {
		to := newAccount(t)
		put(t, to, "INBOX", other)
		lost := &losingAccount{Account: to, t: t, other: other}
		_, err := Import(ctx, lost, dir, Maildir, Options{})
		require.ErrorIs(t, err, errBroken)
		put(t, to, "INBOX", other)
		box, err := to.Mailbox(ctx, "INBOX")
		require.NoError(t, err)
		removed, err := box.Expunge(ctx, gone)
		require.NoError(t, err)
		require.Equal(t, gone.String(), removed.String())
		want := got(t, to, "INBOX")
		mustImport(t, to, dir, Maildir)
		require.Equal(t, want, got(t, to, "INBOX"))
		require.NoError(t, removeJournal(dir))
	}
}

// losingAccount stores batches, behind other mail that arrives at the same
// moment, and loses the answer.
type losingAccount struct {
	storage.Account
	t     testing.TB
	other mail
}

func (a *losingAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	box, err := a.Account.Mailbox(ctx, name)
	return losingMailbox{box, a}, err
}

type losingMailbox struct {
	storage.Mailbox
	account *losingAccount
}

func (m losingMailbox) Append(ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
	put(m.account.t, m.account.Account, "INBOX", m.account.other)
	_, err := m.Mailbox.Append(ctx, msgs...)
	return nil, errors.Join(errBroken, err)
}
