package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

func removeJournal(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, journalFile)), os.Remove(filepath.Join(dir, journalFile+".lock")))
}

func at(second int64, content string) mail {
	return mail{content: content, date: time.Unix(second, 0).UTC()}
}

func TestALaterExportAndImportTakeOnlyWhatIsNew(t *testing.T) {
	ctx := context.Background()
	eachFormat(t, func(t *testing.T, format Format) {
		from, to, dir := newAccount(t), newAccount(t), t.TempDir()
		for i := range 5 {
			put(t, from, "INBOX", at(int64(100-i), fmt.Sprintf("Subject: %d\r\n\r\n", i)))
			out, in := mustExport(t, from, dir, format), mustImport(t, to, dir, format)
			require.EqualValues(t, 1, out.Messages)
			require.EqualValues(t, 1, in.Messages)
			require.Equal(t, all(t, from), all(t, to))
		}
		box, err := from.Mailbox(ctx, "INBOX")
		require.NoError(t, err)
		_, err = box.Expunge(ctx, imap.UIDSetNum(1, 3))
		require.NoError(t, err)
		var notes []string
		_, err = Export(ctx, from, dir, format, Options{Note: func(mailbox, text string) { notes = append(notes, mailbox+" "+text) }})
		require.NoError(t, err)
		require.Len(t, notes, 1)
		require.Contains(t, notes[0], "INBOX 2 messages that were expunged")
	})
}

func TestAMailboxMadeAnewIsExportedAnew(t *testing.T) {
	ctx := context.Background()
	eachFormat(t, func(t *testing.T, format Format) {
		from, dir := newAccount(t), t.TempDir()
		put(t, from, "x", at(1, "Subject: old\r\n\r\n"), at(2, "Subject: old too\r\n\r\n"))
		mustExport(t, from, dir, format)
		require.NoError(t, from.Delete(ctx, "x"))
		put(t, from, "x", at(3, "Subject: new\r\n\r\n"))
		b := &breaker{at: 12}
		_, err := Export(ctx, brokenAccount{from, b}, dir, format, Options{step: b.disk})
		require.ErrorIs(t, err, errBroken)
		mustExport(t, from, dir, format)
		to := newAccount(t)
		mustImport(t, to, dir, format)
		require.Equal(t, got(t, from, "x"), got(t, to, "x"))
	})
}

func TestExportTouchesNoForeignMail(t *testing.T) {
	ctx := context.Background()
	for format, file := range map[Format]string{Maildir: "new/1.2.host", Mbox: "INBOX.mbox"} {
		dir := t.TempDir()
		path := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("From x\n"), 0o600))
		_, err := Export(ctx, newAccount(t), dir, format, Options{})
		require.ErrorIs(t, err, ErrForeign)
	}
	// An mbox that another program has written to since.
	dir, a := t.TempDir(), newAccount(t)
	put(t, a, "INBOX", at(1, "Subject: x\r\n\r\n"))
	mustExport(t, a, dir, Mbox)
	path := filepath.Join(dir, "INBOX.mbox")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("From y Thu Jan  1 00:00:00 1970\n\n"), content...), 0o600))
	_, err = Export(ctx, a, dir, Mbox, Options{})
	require.ErrorIs(t, err, ErrForeign)
}

func TestTwoRunsInOneDirectoryAreRefused(t *testing.T) {
	ctx := context.Background()
	eachFormat(t, func(t *testing.T, format Format) {
		a, dir := newAccount(t), t.TempDir()
		_, err := Export(ctx, a, dir, format, Options{Progress: func(Progress) {
			_, err := Export(ctx, a, dir, format, Options{})
			require.ErrorIs(t, err, ErrBusy)
		}})
		require.NoError(t, err)
		_, err = Import(ctx, a, dir, format, Options{Progress: func(Progress) {
			_, err := Import(ctx, a, dir, format, Options{})
			require.ErrorIs(t, err, ErrBusy)
		}})
		require.NoError(t, err)
	})
}

func TestTheJournalOfAnotherAccountIsRefused(t *testing.T) {
	ctx := context.Background()
	s := newAccount(t)
	dir := t.TempDir()
	mustExport(t, s, dir, Maildir)
	mustImport(t, newAccountWith(t, 3), dir, Maildir)
	_, err := Import(ctx, newAccount(t), dir, Maildir, Options{})
	require.ErrorIs(t, err, ErrOtherAccount)
}

func TestACancelledContextEndsARun(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a, dir := smallAccount(t), t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Export(ctx, a, dir, format, Options{Progress: func(Progress) { cancel() }})
		require.ErrorIs(t, err, context.Canceled)
		mustExport(t, a, dir, format)
		to := bareAccount(t)
		ctx, cancel = context.WithCancel(context.Background())
		_, err = Import(ctx, to, dir, format, Options{Progress: func(Progress) { cancel() }})
		require.ErrorIs(t, err, context.Canceled)
		mustImport(t, to, dir, format)
		require.Equal(t, all(t, a), all(t, to))
	})
}

// limitedAccount takes one message at a time.
type limitedAccount struct{ storage.Account }

func (a limitedAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	box, err := a.Account.Mailbox(ctx, name)
	return limitedMailbox{box}, err
}

type limitedMailbox struct{ storage.Mailbox }

func (m limitedMailbox) Append(ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
	if len(msgs) > 1 {
		return nil, storage.ErrLimit
	}
	return m.Mailbox.Append(ctx, msgs...)
}

func TestABatchThatIsTooMuchForTheStoreIsDivided(t *testing.T) {
	from, to, dir := smallAccount(t), bareAccount(t), t.TempDir()
	mustExport(t, from, dir, Mbox)
	mustImport(t, limitedAccount{to}, dir, Mbox)
	require.Equal(t, all(t, from), all(t, to))
}
