package clients

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// Neomutt has neomutt read, flag, delete and save messages, and notice a new
// one in IDLE.
func (a *Account) Neomutt(t testing.TB) {
	realtest.Require(t, "neomutt", "tmux")
	a.Append(t, "INBOX", 1, 6)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "rc"),
		fmt.Sprintf("set imap_user=%q imap_pass=%q", a.User, a.Password), a.by("set ssl_starttls=no ssl_force_tls=no", "set ssl_starttls=yes ssl_force_tls=yes", ""),
		fmt.Sprintf("set certificate_file=%q ssl_verify_host=no", a.Authorities),
		fmt.Sprintf("set folder=%q", a.by("imap", "imap", "imaps")+"://"+a.at(a.IMAP)+"/"), "set spoolfile=+INBOX record= mail_check=1 timeout=1 sort=mailbox-order imap_idle=yes",
		"set mark_old=no confirmcreate=no delete=yes move=no beep=no imap_check_subscribed=no wait_key=no quit=yes")
	s := startTerminal(t, dir, "neomutt -n -F "+filepath.Join(dir, "rc"))
	s.shows("message 5")
	s.press("1", "Enter") // to the first message
	s.press("Enter")
	s.shows("body 1")
	s.press("i") // back to the list
	s.press("2", "Enter", "F")
	s.press("3", "Enter", "d")
	s.press("4", "Enter", "s")
	s.shows("Save to mailbox")
	s.press("C-u")
	s.press("-l", "=Saved")
	s.press("Enter")
	s.press("5", "Enter", "N") // not new
	s.press("$")
	s.shows("Msgs:3")
	a.Append(t, "INBOX", 6, 7)
	s.shows("message 6") // it looks again by itself
	s.press("q")
	s.ends()
	require.Equal(t, Shelf{
		"1@example.org": `\Seen`, "2@example.org": `\Flagged`, "5@example.org": `\Seen`, "6@example.org": "",
	}, a.Look(t, "INBOX"))
	require.Contains(t, a.Look(t, "Saved"), "4@example.org")
}
