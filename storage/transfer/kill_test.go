package transfer

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/local"
)

// childEnv holds what a child process does: a command, a format, the
// directory of a store and that of the mail.
const childEnv = "POSTHOUSE_TRANSFER_CHILD"

func TestMain(m *testing.M) {
	if work := os.Getenv(childEnv); work != "" {
		if err := child(strings.Split(work, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child runs a transfer and prints a line whenever something is durable.
func child(work []string) error {
	ctx := context.Background()
	s, err := local.Open(work[2], local.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	a, err := s.Account(ctx, "alice")
	if err != nil {
		return err
	}
	format, err := ParseFormat(work[1])
	if err != nil {
		return err
	}
	run := Export
	if work[0] == "import" {
		run = Import
	}
	fmt.Println("begun")
	_, err = run(ctx, a, work[3], format, Options{batch: 20, Progress: func(p Progress) { fmt.Println(p.Mailbox, p.Messages) }})
	return err
}

// TestKilledTransfersLoseAndRepeatNothing kills a process again and again
// while it exports a store, until it comes to its end, and then while it
// imports what it wrote. POSTHOUSE_KILLS sets how often at most.
func TestKilledTransfersLoseAndRepeatNothing(t *testing.T) {
	kills := 10
	if s := os.Getenv("POSTHOUSE_KILLS"); s != "" {
		var err error
		kills, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	eachFormat(t, func(t *testing.T, format Format) {
		top := t.TempDir()
		from, to, dir := filepath.Join(top, "from"), filepath.Join(top, "to"), filepath.Join(top, "mail")
		r := rand.New(rand.NewPCG(3, 4))
		var want []string
		withStore(t, from, func(a storage.Account) {
			for i := range 400 {
				put(t, a, []string{"INBOX", "a.b/ü"}[i%2], randomMail(r))
			}
			want = all(t, a)
		})
		for _, work := range [][]string{{"export", format.String(), from, dir}, {"import", format.String(), to, dir}} {
			killed := 0
			for within := 1; runAndKill(t, work, killed < kills, within); within = 40 {
				killed++
			}
			t.Logf("%s: %d kills", work[0], killed)
			require.NotZero(t, killed)
		}
		withStore(t, to, func(a storage.Account) { require.Equal(t, want, all(t, a)) })
	})
}

func withStore(t *testing.T, dir string, use func(a storage.Account)) {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	require.NoError(t, err)
	a, err := s.Account(context.Background(), "alice")
	require.NoError(t, err)
	use(a)
	require.NoError(t, s.Close())
}

// runAndKill runs a child and, if it shall, kills it within so many
// milliseconds of its first sign of life, the first time at once, however fast
// the machine is. It reports whether the child was killed before its end.
func runAndKill(t *testing.T, work []string, kill bool, within int) (killed bool) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(work, "\n"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if kill {
			kill = false
			timer := time.AfterFunc(time.Duration(rand.IntN(within))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() == -1 {
		return true
	}
	require.NoError(t, err)
	return false
}
