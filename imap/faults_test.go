package imap

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFaultI7MultipartWithoutPartsIsShown(t *testing.T) {
	s, addr := newServer(t, nil)
	for _, text := range []string{
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
		"Content-Type: multipart/alternative\r\n\r\nno boundary\r\n",
		"Content-Type: message/rfc822\r\n\r\n",
	} {
		deliver(t, s.Store, text)
	}
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Equal(t, 4, strings.Count(c.ok("FETCH 1:* (BODYSTRUCTURE BODY)"), "FETCH ("))
}

func TestFaultI8PartialBeyondAllNumbersIsEmpty(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	for _, partial := range []string{"1.9223372036854775807", "9223372036854775807.1", "9223372036854775807.9223372036854775807", "1.18446744073709551615"} {
		_, answer := c.cmd("FETCH 1 BODY.PEEK[]<" + partial + ">")
		require.Regexp(t, "^(OK|BAD)", answer, partial)
	}
	require.Contains(t, c.ok("FETCH 1 BODY.PEEK[]<1.9223372036854775807>"), fmt.Sprintf("BODY[]<1> {%d}", len(plainMessage)-1))
}

func TestFaultI9MalformedHeaderLineHidesNothing(t *testing.T) {
	s, addr := newServer(t, nil)
	text := ">From somebody Thu Jan  1\r\nSubject: kept\r\nno colon here\r\nFrom: alice@example.test\r\n\r\nbody\r\n"
	deliver(t, s.Store, text)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Contains(t, c.ok("FETCH 1 BODY.PEEK[]"), fmt.Sprintf("{%d}\r\n%s", len(text), text))
	require.Contains(t, c.ok("FETCH 1 ENVELOPE"), `"kept" ((NIL NIL "alice" "example.test"))`)
}

func TestFaultI10DeepNestingCostsNoMoreThanItsSize(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 16_000))
	var multi strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&multi, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	deliver(t, s.Store, multi.String())
	c := login(t, addr)
	c.ok("SELECT INBOX")
	began := time.Now()
	c.ok("FETCH 1:2 (BODYSTRUCTURE ENVELOPE)")
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestFaultI11ListPatternsAreLinear(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("CREATE " + strings.Repeat("a", 64))
	began := time.Now()
	require.Empty(t, c.ok("LIST \"\" "+strings.Repeat("*a", 100)+"b"))
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestFaultI12AndI13SearchesKeepAllKeysAndSaveSaysNothing(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Equal(t, "* SEARCH\r\n", c.ok("SEARCH SMALLER 10 SINCE 1-Jan-1990"))
	require.Equal(t, "* SEARCH\r\n", c.ok("SEARCH SINCE 1-Jan-1990 SMALLER 10"))
	require.Equal(t, "* SEARCH 1\r\n", c.ok("SEARCH LARGER 10 SINCE 1-Jan-1990"))
	require.Empty(t, c.ok("SEARCH RETURN (SAVE) ALL"))
	require.Contains(t, c.ok("FETCH $ UID"), "UID 1")
}

func TestFaultI14EnableOfWhatIsNotOfferedEnablesNothing(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	require.Equal(t, "* ENABLED\r\n", c.ok("ENABLE X-UNKNOWN IMAP4rev3"))
}

func TestFaultI15ExamineIsReadOnly(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.ok(`STORE 1 FLAGS (\Deleted)`)
	c.ok("EXAMINE INBOX")
	for _, text := range []string{`STORE 1 +FLAGS (\Flagged)`, `UID STORE 1 -FLAGS (\Deleted)`, "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 INBOX", "UID MOVE 1 INBOX"} {
		c.fails(text, "NO ")
	}
	c.ok("FETCH 1 BODY[]")
	c.ok("CLOSE")
	c.ok("SELECT INBOX")
	require.Contains(t, c.ok("FETCH 1 FLAGS"), `FLAGS (\Deleted`)
	require.NotContains(t, c.ok("FETCH 1 FLAGS"), `\Seen`)
}

func TestFaultI21NumbersAreThoseThatTheClientWasTold(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	other := login(t, addr)
	c.ok("SELECT INBOX")
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	other.ok("SELECT INBOX")
	other.ok(`STORE 4 +FLAGS (\Flagged)`)
	told := c.ok("NOOP")
	require.Contains(t, told, "* 4 EXISTS")
	require.Less(t, strings.Index(told, "EXISTS"), strings.Index(told+"FETCH", "FETCH"), "no number is used before it is told")
	require.Contains(t, c.ok("FETCH 2:4 UID"), "* 4 FETCH (UID 4)")
}

// TestFaultI22SessionsOfOneMailboxShareNoUnguardedState is for the race detector.
func TestFaultI22SessionsOfOneMailboxShareNoUnguardedState(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := login(t, addr)
			c.ok("SELECT INBOX")
			for range 20 {
				c.ok(fmt.Sprintf("STORE 1:* +FLAGS (k%d)", i))
				c.ok("APPEND INBOX {4+}\r\nA: b")
				c.ok("FETCH 1:* (UID FLAGS)")
			}
		})
	}
	all.Wait()
}

func TestFaultI23SessionThatNeverAsksGrowsNobodysMemory(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	silent := login(t, addr)
	silent.ok("SELECT INBOX")
	other := login(t, addr)
	other.ok("SELECT INBOX")
	change := func(times int) uint64 {
		for i := range times {
			other.ok([]string{`STORE 1 +FLAGS.SILENT (\Flagged)`, `STORE 1 -FLAGS.SILENT (\Flagged)`}[i%2])
		}
		return heap()
	}
	before := change(500)
	require.Less(t, int64(change(4000))-int64(before), int64(1<<20))
	runtime.KeepAlive(silent)
}

func TestFaultI24ConnectionLostInIdleEndsEverything(t *testing.T) {
	s, addr := newServer(t, nil)
	for range 10 {
		c := login(t, addr)
		c.ok("SELECT INBOX")
		c.send("i IDLE\r\n")
		require.Contains(t, c.line(), "+ ")
		deliver(t, s.Store, plainMessage)
		require.NoError(t, c.conn.Close())
	}
	require.Eventually(t, func() bool { return s.Sessions() == 0 }, 20*time.Second, time.Millisecond)
	deliver(t, s.Store, plainMessage) // nobody is told any more; goleak finds who is left
}

func TestFaultI25DoneInAnyLetterCase(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	for _, done := range []string{"done", "Done", "DONE"} {
		c.send("i IDLE\r\n")
		require.Contains(t, c.line(), "+ ")
		c.send(done + "\r\n")
		_, answer := c.until("i")
		require.Contains(t, answer, "OK", done)
	}
}

func TestFaultI26EnvelopesShowAllThatIsThere(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, "Date: the day after tomorrow\r\nFrom: good@example.test, <<<>bad, Bob <bob@example.test>\r\n"+
		"To: team: a@example.test, b@example.test;\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n")
	c := login(t, addr)
	c.ok("SELECT INBOX")
	envelope := c.ok("FETCH 1 ENVELOPE")
	require.Contains(t, envelope, `"the day after tomorrow"`)
	require.Contains(t, envelope, `"good" "example.test"`)
	require.Contains(t, envelope, `"bob" "example.test"`)
	require.Contains(t, envelope, `(NIL NIL "team" NIL)(NIL NIL "a" "example.test")(NIL NIL "b" "example.test")(NIL NIL NIL NIL)`)
	c.ok("UNSELECT")
	c.ok("ENABLE IMAP4rev2")
	c.ok("SELECT INBOX")
	require.Contains(t, c.ok("FETCH 1 ENVELOPE"), "\"gr\xc3\xbc\xc3\x9fe\"")
}

func TestFaultI27ShutdownSaysByeAndWaits(t *testing.T) {
	s, addr := newServer(t, nil)
	c := login(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.Zero(t, s.Sessions())
	c.expectClosed()
}
