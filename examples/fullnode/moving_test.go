package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// imapLines sends a command with the tag T and returns all that is said until
// its answer.
func (c *lineConn) imapLines(command string) string {
	c.t.Helper()
	c.send("T " + command + "\r\n")
	var said strings.Builder
	for {
		line := c.line()
		said.WriteString(line + "\n")
		if strings.HasPrefix(line, "T ") {
			return said.String()
		}
	}
}

func (c *lineConn) imapOK(command string) string {
	c.t.Helper()
	said := c.imapLines(command)
	require.Regexp(c.t, "(?m)^T OK", said, command)
	return said
}

// imapLogin logs in as a client of QRESYNC.
func (n *testNode) imapLogin() *lineConn {
	n.t.Helper()
	c := n.dial("IMAP")
	c.line()
	require.Contains(n.t, c.imapLines(fmt.Sprintf("LOGIN %s %s", n.user, n.password)), "T OK")
	c.imapOK("ENABLE QRESYNC")
	return c
}

// lmtp brings a message, and returns the answer for its recipient.
func (n *testNode) lmtp(to, text string) string {
	n.t.Helper()
	c := n.dial("LMTP")
	require.Regexp(n.t, "^220 ", c.reply())
	require.Regexp(n.t, "^250 ", c.command("LHLO client.example.org"))
	require.Regexp(n.t, "^250 ", c.command("MAIL FROM:<carol@example.org>"))
	if answer := c.command("RCPT TO:<" + to + ">"); !strings.HasPrefix(answer, "250 ") {
		return answer
	}
	return c.data([]byte("Subject: " + text + "\r\n\r\n" + text + "\r\n"))
}

// seen is all that clients can see of the user's account.
func (n *testNode) seen() map[string]string {
	n.t.Helper()
	c := n.imapLogin()
	defer c.Close()
	all := map[string]string{
		"LIST": c.imapOK(`LIST "" * RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID SIZE))`),
		"LSUB": c.imapOK(`LSUB "" *`), "quota": c.imapOK("GETQUOTAROOT INBOX"), "server metadata": c.imapOK(`GETMETADATA (DEPTH infinity) "" (/private /shared)`),
	}
	for _, name := range []string{"INBOX", "Work", "Work/Plans", "Trash"} {
		all["select "+name] = c.imapOK("SELECT " + name)
		all["fetch "+name] = c.imapOK("UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE SAVEDATE EMAILID THREADID RFC822.SIZE BODY.PEEK[])")
		all["vanished "+name] = c.imapOK("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")
		all["acl "+name] = c.imapOK("GETACL " + name)
		all["metadata "+name] = c.imapOK("GETMETADATA (DEPTH infinity) " + name + " (/private /shared)")
	}
	p := n.dial("POP3")
	defer p.Close()
	p.line()
	for _, command := range []string{"USER " + n.user, "PASS " + n.password} {
		p.send(command + "\r\n")
		require.Contains(n.t, p.line(), "+OK")
	}
	p.send("UIDL\r\n")
	require.Contains(n.t, p.line(), "+OK")
	all["UIDL"] = string(p.multiline())
	p.send("QUIT\r\n")
	p.line()
	return all
}

// fill gives the user some of everything.
func (n *testNode) fill() {
	n.t.Helper()
	c := n.imapLogin()
	defer c.Close()
	for i := range 40 {
		require.Regexp(n.t, "^250 ", n.lmtp(n.user, fmt.Sprint("message ", i)))
	}
	for _, command := range []string{
		"CREATE Work/Plans", "SUBSCRIBE Work/Plans", "SUBSCRIBE Nowhere", "UNSUBSCRIBE Junk", "SELECT INBOX",
		`UID STORE 3:20 +FLAGS (\Seen $Label)`, `UID COPY 2:9 Work/Plans`, `UID STORE 7,30:33 +FLAGS (\Deleted)`, "EXPUNGE", `UID MOVE 10:11 Work`,
		`SETACL Work "anyone" lr`, `SETMETADATA Work (/shared/comment "of work")`, `SETMETADATA Work (/private/comment "mine")`, `SETMETADATA "" (/private/vendor/x/y "account")`,
	} {
		c.imapOK(command)
	}
	n.mustRun("", "quota", "set", n.user, "bytes=10M", "messages=500")
	n.mustRun("", "quota", "set", n.user, "mailbox=Work", "messages=100")
}

// pipe packs at a node and unpacks at another one, as an operator does with a
// line between them.
func pipe(t *testing.T, from, to *testNode, pack ...string) string {
	t.Helper()
	out := exec.CommandContext(t.Context(), binary, from.args(append([]string{"pack"}, append(pack, from.user)...)...)...)
	in := exec.CommandContext(t.Context(), binary, to.args("unpack", from.user)...)
	archive, err := out.StdoutPipe()
	require.NoError(t, err)
	in.Stdin = archive
	require.NoError(t, out.Start())
	said, err := in.CombinedOutput()
	require.NoError(t, err, string(said))
	require.NoError(t, out.Wait())
	return string(said)
}

var modSeqOf = regexp.MustCompile(`HIGHESTMODSEQ (\d+)`)

// TestP42MovedUserFindsEverythingAsItWas moves a user from one node to another
// while both run: UIDVALIDITY, UIDs, ModSeqs, flags, dates, object ids,
// subscriptions, access lists, metadata, quotas and UIDLs are the same, and
// mail that comes in between is refused for the time being and arrives once.
func TestP42MovedUserFindsEverythingAsItWas(t *testing.T) {
	from, to := startNode(t, ""), startNode(t, "")
	to.user = from.user
	from.fill()
	require.Regexp(t, "^250 ", to.lmtp(to.user, "this account is not the one that comes"))
	_, err := to.run("", "pack", "nobody@example.test")
	require.Error(t, err)
	out, err := to.run("", "drop", to.user)
	require.ErrorContains(t, err, "exit status 1")
	require.Contains(t, out, "not frozen")
	to.mustRun("", "freeze", to.user)
	to.mustRun("", "drop", to.user)

	require.Contains(t, pipe(t, from, to, "-bodies"), "bodies have arrived")
	c := from.imapLogin() // she works on
	selected := c.imapOK("SELECT INBOX")
	old := modSeqOf.FindStringSubmatch(selected)[1]
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`).FindStringSubmatch(selected)[1]
	c.imapOK(`UID STORE 15 +FLAGS (\Answered)`)
	c.imapOK(`UID STORE 16,17 +FLAGS (\Deleted)`)
	c.imapOK("EXPUNGE")
	require.Regexp(t, "^250 ", from.lmtp(from.user, "in the meantime"))
	from.seen() // from here on nothing is recent
	before := from.seen()

	from.mustRun("", "freeze", from.user)
	require.Equal(t, from.user+"\n", from.mustRun("", "freeze"))
	from.refuses(c)
	require.Contains(t, pipe(t, from, to, "-since", strings.TrimSpace(to.mustRun("", "unpack", "-arrived", to.user))), " 1 bodies new")
	require.Equal(t, before, to.seen())

	// A client that was away hears what has changed, and nothing else.
	d := to.imapLogin()
	said := d.imapOK(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", validity, old))
	require.Contains(t, said, "* VANISHED (EARLIER) 16:17\n")
	require.Equal(t, 2, strings.Count(said, " FETCH (UID "), said)

	require.Regexp(t, "^250 ", to.lmtp(to.user, "in the window"))
	require.Equal(t, 1, strings.Count(to.seen()["fetch INBOX"], "Subject: in the window"))
	to.requireSound()

	// The old node keeps to it, until it is told otherwise.
	dir, user, password := from.dir, from.user, from.password
	from.stop()
	require.Equal(t, user+"\n", from.mustRun("", "freeze"), "no node runs")
	from = startIn(t, dir)
	from.user, from.password = user, password
	from.refuses(nil)
	from.mustRun("", "thaw", user)
	require.Equal(t, before, from.seen())
	require.Regexp(t, "^250 ", from.lmtp(user, "a second life"))
	from.mustRun("", "freeze", user)
	from.mustRun("", "drop", user)
	require.Empty(t, from.mustRun("", "freeze"))
	from.requireSound()
}

// refuses requires that a node lets nobody use the user's account, by an open
// session neither.
func (n *testNode) refuses(session *lineConn) {
	n.t.Helper()
	require.Regexp(n.t, "^451 4.2.1 ", n.lmtp(n.user, "in the window"))
	c := n.dial("SMTP")
	c.reply()
	c.command("HELO x")
	c.command("MAIL FROM:<carol@example.org>")
	require.Regexp(n.t, "^451 4.2.1 ", c.command("RCPT TO:<"+n.user+">"))
	c = n.dial("IMAP")
	c.line()
	require.Contains(n.t, c.imapLines(fmt.Sprintf("LOGIN %s %s", n.user, n.password)), "T NO [UNAVAILABLE] ")
	c = n.dial("POP3")
	c.line()
	c.send("USER " + n.user + "\r\n")
	c.line()
	c.send("PASS " + n.password + "\r\n")
	require.Contains(n.t, c.line(), "-ERR [SYS/TEMP] ")
	if session != nil {
		require.Contains(n.t, session.imapLines(`UID STORE 15 +FLAGS (\Draft)`), "T NO [UNAVAILABLE] ")
		require.Contains(n.t, session.imapLines("CREATE x"), "T NO [UNAVAILABLE] ")
	}
}

// TestP42NodesThatDoNotRunMoveAccountsToo by way of a file, and one that is cut
// off is refused.
func TestP42NodesThatDoNotRunMoveAccountsToo(t *testing.T) {
	from, to := startNode(t, ""), startNode(t, "")
	to.user = from.user
	from.fill()
	from.seen() // from here on nothing is recent
	before := from.seen()
	from.stop()
	to.stop()
	cmd := exec.CommandContext(t.Context(), binary, from.args("pack", from.user)...)
	archive, err := cmd.Output()
	require.NoError(t, err)
	out, err := to.run(string(archive[:len(archive)-20]), "unpack", to.user)
	require.Error(t, err)
	require.Contains(t, out, "ends too early")
	require.NotEmpty(t, to.mustRun("", "unpack", "-arrived", to.user))
	to.mustRun("", "unpack", "-forget", to.user)
	require.Contains(t, to.mustRun(string(archive), "unpack", to.user), "is here: ")
	out, err = to.run(string(archive), "unpack", to.user)
	require.Error(t, err)
	require.Contains(t, out, "exists")
	to.mustRun(string(archive), "unpack", "-replace", to.user)
	// Of MAILBOXIDs, those that were taken by what was replaced are new.
	ids := regexp.MustCompile(`(MAILBOXID \(F)\d+`)
	password := to.password
	to = startIn(t, to.dir)
	to.user, to.password = from.user, password
	after := to.seen()
	for _, all := range []map[string]string{before, after} {
		for k, v := range all {
			all[k] = ids.ReplaceAllString(v, "$1")
		}
	}
	require.Equal(t, before, after)
	_, err = os.Stat(filepath.Join(to.dir, "data", "spool"))
	require.NoError(t, err)
}
