package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/storage"
)

// The goals of BenchmarkOpen are those of 100,000 accounts.
const (
	goalOpenClean  = 100 * time.Millisecond
	goalOpenCrash  = 3 * time.Second
	goalOpenMemory = 100e6
)

const accountsEnv = "POSTHOUSE_ACCOUNTS"

// BenchmarkOpen opens a store and asks for a mailbox, each time in a new
// process, with 2,000 accounts or as many as POSTHOUSE_ACCOUNTS says.
func BenchmarkOpen(b *testing.B) {
	dir, err := os.MkdirTemp(".", "bench")
	require.NoError(b, err)
	defer os.RemoveAll(dir)
	if os.Getenv(accountsEnv) == "" {
		b.Setenv(accountsEnv, "2000")
	}
	store := filepath.Join(dir, "store")
	enginetest.Filled(b, store)
	b.Run("crash", func(b *testing.B) { enginetest.CompareOpening(b, store, goalOpenCrash, goalOpenMemory) })
	s, err := Open(store, quiet(nil))
	require.NoError(b, err)
	require.NoError(b, s.Close())
	b.Run("clean", func(b *testing.B) { enginetest.CompareOpening(b, store, goalOpenClean, goalOpenMemory) })
}

func benchUser(i int) string { return fmt.Sprintf("user%d@example.test", i) }

// fill makes accounts with three messages each.
func fill(dir string) error {
	accounts, err := strconv.Atoi(os.Getenv(accountsEnv))
	if err != nil {
		return err
	}
	s, err := Open(dir, quiet(nil))
	if err != nil {
		return err
	}
	const together = 500
	for i := 0; i < accounts; i += together {
		d := &storage.Delivery{Body: text(5 << 10)}
		for j := i; j < min(i+together, accounts); j++ {
			d.Targets = append(d.Targets, storage.Target{User: benchUser(j), Prefix: []byte(trace)})
		}
		for range 3 {
			if _, err := s.Deliver(context.Background(), d); err != nil {
				return err
			}
		}
	}
	return nil
}

// openFilled opens what fill has made, and looks whether it is there.
func openFilled(dir string) error {
	accounts, err := strconv.Atoi(os.Getenv(accountsEnv))
	if err != nil {
		return err
	}
	s, err := Open(dir, quiet(nil))
	if err != nil {
		return err
	}
	a, err := s.Account(context.Background(), benchUser(accounts-1))
	if err != nil {
		return err
	}
	m, err := a.Mailbox(context.Background(), storage.Inbox)
	if err != nil {
		return err
	}
	st, err := m.Status(context.Background())
	if err == nil && st.Messages != 3 {
		err = fmt.Errorf("%d messages", st.Messages)
	}
	return err
}
