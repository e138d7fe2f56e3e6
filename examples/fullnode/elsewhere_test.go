package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestP54FoldersOfAUserElsewhereAreRefused clearly: his folder that is shared
// with somebody of another back end is not there for her, and nothing is copied
// from or to it. When he lives at her back end it is, with the rights that he
// gave her, and a copy has the flags and the date of its original.
func TestP54FoldersOfAUserElsewhereAreRefused(t *testing.T) {
	hers, his := startNode(t, ""), startNode(t, "")
	for _, n := range []*testNode{hers, his} {
		n.mustRun("secret\n", "user", "add", "bob@example.test")
	}
	alice := hers.user
	bob := his
	bob.user, bob.password = "bob@example.test", "secret"
	require.Regexp(t, "^250 ", his.lmtp(bob.user, "of bob"))
	require.Regexp(t, "^250 ", hers.lmtp(alice, "of alice"))
	b := bob.imapLogin()
	for _, command := range []string{
		"CREATE Shared", "SELECT INBOX", `UID STORE 1 +FLAGS (\Flagged $Label)`, "UID MOVE 1 Shared", "SETACL Shared " + alice + " lrswi",
	} {
		b.imapOK(command)
	}

	const shared = `"Other Users/bob@example.test/Shared"`
	a := hers.imapLogin()
	a.imapOK("SELECT INBOX")
	for command, answer := range map[string]string{
		"UID COPY 1 " + shared: "T NO [TRYCREATE] ", "UID MOVE 1 " + shared: "T NO [TRYCREATE] ",
		"STATUS " + shared + " (MESSAGES)": "T NO [NONEXISTENT] ", "MYRIGHTS " + shared: "T NO [NONEXISTENT] ",
	} {
		require.Contains(t, a.imapLines(command), answer, command)
	}
	a.send("T APPEND " + shared + " {1+}\r\nx\r\n")
	require.Contains(t, a.line(), "T NO [TRYCREATE] ")
	require.NotContains(t, a.imapOK(`LIST "" *`), "bob")
	require.Contains(t, a.imapOK("UID FETCH 1 (FLAGS)"), "* 1 FETCH", "nothing was moved")
	require.Contains(t, a.imapLines("SELECT "+shared), "T NO [NONEXISTENT] ")

	his.mustRun("", "freeze", bob.user)
	require.Contains(t, pipe(t, bob, hers), "is here: ")
	require.Contains(t, a.imapOK(`LIST "" *`), "Other Users/bob@example.test/Shared")
	original := a.imapOK("SELECT " + shared)
	require.Contains(t, original, "* 1 EXISTS")
	a.imapOK("UID COPY 1 INBOX")
	flags := a.imapOK("UID FETCH 1 (INTERNALDATE FLAGS)")
	a.imapOK("SELECT INBOX")
	copied := a.imapOK("UID FETCH 2 (INTERNALDATE FLAGS)")
	for _, part := range []string{`\Flagged`, "$Label", flags[strings.Index(flags, "INTERNALDATE"):][:40]} {
		require.Contains(t, flags, part)
		require.Contains(t, copied, part)
	}
	a.imapOK("UID COPY 1 " + shared)
	hers.requireSound()
}
