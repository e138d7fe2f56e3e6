package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"time"
)

// user is somebody in the directory.
type user struct{ name, password string }

var (
	alice = user{"alice@example.test", "secret-a"} // lives at back end 1
	bob   = user{"bob@example.test", "secret-b"}   // lives at back end 2
)

// step is a part of the self-test.
type step struct {
	says string
	do   func(context.Context, *cluster) error
}

var steps = []step{
	{"each back end keeps the mail of its own user", deliver},
	{"by IMAP and POP3, each front end leads everybody to his back end", logins},
	{"a session has one name in the logs of both tiers", oneName},
	{"a wrong password is refused, and is no failure of the cluster", wrongPassword},
	{"a message by SMTP to users of both back ends arrives at both", mailToBoth},
	{"mail that Alice submits through a front end reaches Bob at the other back end", submission},
	{"when a front end is killed, the other serves", frontEndKilled},
	{"a user moves: his sessions end, and his next login finds all that he had at the other back end", userMoves},
	{"a back end that is down is told as that, and the users of others do not notice", backEndDown},
}

// selfTest takes all steps, and stops at the first that fails.
func selfTest(ctx context.Context, c *cluster, out io.Writer) error {
	for i, s := range steps {
		began := time.Now()
		if err := s.do(ctx, c); err != nil {
			c.dump(out)
			return fmt.Errorf("step %d, %s: %w", i+1, s.says, err)
		}
		fmt.Fprintf(out, "ok  %d  %s (%v)\n", i+1, s.says, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// deliver leaves a message at each back end that names it, so that a user can
// see where he is.
func deliver(_ context.Context, c *cluster) error {
	for n, who := range map[int]user{1: alice, 2: bob} {
		if err := mailTo(c.back(n), "2525", fmt.Sprintf("Kept at back end %d", n), who.name); err != nil {
			return err
		}
	}
	return nil
}

func logins(_ context.Context, c *cluster) error {
	for n := 1; n <= 2; n++ {
		if err := c.bothServed(n); err != nil {
			return err
		}
	}
	return nil
}

// oneName looks for the sessions of a front end in the back ends' logs.
func oneName(_ context.Context, c *cluster) error {
	said, err := os.ReadFile(c.fronts[0].log)
	if err != nil {
		return err
	}
	var behind []byte
	for _, b := range c.backs {
		text, err := os.ReadFile(b.log)
		if err != nil {
			return err
		}
		behind = append(behind, text...)
	}
	sessions := regexp.MustCompile(`session=\w+`).FindAll(said, -1)
	if len(sessions) == 0 {
		return errors.New("the front end has logged no session")
	}
	for _, id := range sessions {
		if !bytes.Contains(behind, id) {
			return fmt.Errorf("no back end knows %s", id)
		}
	}
	return nil
}

// bothServed is nil when both users see their mail through a front end.
func (c *cluster) bothServed(n int) error {
	for _, read := range []func(string, user) (string, error){readIMAP, readPOP3} {
		if err := expect(read, c.front(n), alice, "Kept at back end 1"); err != nil {
			return err
		}
		if err := expect(read, c.front(n), bob, "Kept at back end 2"); err != nil {
			return err
		}
	}
	return nil
}

// expect reads and looks for a text in what was said.
func expect(read func(string, user) (string, error), front string, who user, text string) error {
	said, err := read(front, who)
	if err == nil && !strings.Contains(said, text) {
		err = fmt.Errorf("%s at %s: no %q in %q", who.name, front, text, said)
	}
	return err
}

// eventually tries again until something is so: queues, restarts and health
// checks have intervals.
func eventually(ctx context.Context, so func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func wrongPassword(_ context.Context, c *cluster) error {
	return expect(readIMAP, c.front(1), user{alice.name, "wrong"}, "T NO [AUTHENTICATIONFAILED]")
}

func mailToBoth(_ context.Context, c *cluster) error {
	if err := mailTo(c.front(1), "1025", "To both", alice.name, bob.name); err != nil {
		return err
	}
	for _, who := range []user{alice, bob} {
		if err := expect(readIMAP, c.front(2), who, "To both"); err != nil {
			return err
		}
	}
	return nil
}

func submission(ctx context.Context, c *cluster) error {
	if err := c.submit(2, alice, "From Alice", bob.name); err != nil {
		return err
	}
	return eventually(ctx, func() error { return expect(readIMAP, c.front(2), bob, "From Alice") })
}

func frontEndKilled(ctx context.Context, c *cluster) error {
	c.fronts[0].kill()
	if err := c.bothServed(2); err != nil {
		return err
	}
	if err := mailTo(c.front(2), "1025", "While a front end is down", alice.name, bob.name); err != nil {
		return err
	}
	if err := c.startFront(ctx, 1); err != nil {
		return err
	}
	return c.bothServed(1)
}

// userMoves moves Alice to the other back end and back. Her sessions are kicked
// while her logins wait, so that she is never at two, and she finds everything
// as it was, so that her client fetches nothing anew.
func userMoves(ctx context.Context, c *cluster) error {
	if err := mailTo(c.back(2), "2525", "Not yet here", alice.name); err == nil {
		return errors.New("a back end takes mail for a user of the other")
	}
	session, err := dial(c.front(1), "1143")
	if err != nil {
		return err
	}
	defer session.Close()
	if answer, err := session.imap(fmt.Sprintf("LOGIN %s %s", alice.name, alice.password)); !strings.Contains(answer, "T OK") {
		return errors.Join(fmt.Errorf("no login: %q", answer), err)
	}
	had, err := c.inventory(1, alice)
	if err != nil {
		return err
	}
	if err := c.move(ctx, alice, 2); err != nil {
		return err
	}
	if answer, err := session.imap("NOOP"); err == nil && strings.Contains(answer, "T OK") {
		return errors.New("a session at the old back end goes on")
	}
	for n := 1; n <= 2; n++ {
		if has, err := c.inventory(n, alice); err != nil || has != had {
			return errors.Join(fmt.Errorf("through front end %d she has %q, and had %q", n, has, had), err)
		}
	}
	for _, subject := range []string{"In the window", "At the new back end"} { // what was put off comes again
		if err := mailTo(c.front(2), "1025", subject, alice.name); err != nil {
			return err
		}
	}
	if said, err := readIMAP(c.front(1), alice); err != nil || strings.Count(said, "In the window") != 1 {
		return errors.Join(fmt.Errorf("what was put off has not arrived once: %q", said), err)
	}
	for n := 1; n <= 2; n++ {
		if err := expect(readIMAP, c.front(n), alice, "At the new back end"); err != nil {
			return err
		}
	}
	if had, err = c.inventory(1, alice); err != nil {
		return err
	}
	if err := c.move(ctx, alice, 1); err != nil {
		return err
	}
	if has, err := c.inventory(2, alice); err != nil || has != had {
		return errors.Join(fmt.Errorf("back again she has %q, and had %q", has, had), err)
	}
	return expect(readIMAP, c.front(2), alice, "Kept at back end 1")
}

// inventory is what a client remembers of a user's mail: UIDVALIDITY, UIDs,
// ModSeqs, flags and names.
func (c *cluster) inventory(front int, who user) (string, error) {
	session, err := dial(c.front(front), "1143")
	if err != nil {
		return "", err
	}
	defer session.Close()
	all := ""
	for _, command := range []string{
		fmt.Sprintf("LOGIN %s %s", who.name, who.password), `LIST "" * RETURN (STATUS (UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID))`, "EXAMINE INBOX",
		"UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE EMAILID)",
	} {
		answer, err := session.imap(command)
		if err != nil || !strings.Contains(answer, "T OK") {
			return "", errors.Join(fmt.Errorf("%s: %q", command, answer), err)
		}
		if all += answer; strings.HasPrefix(command, "LOGIN ") {
			all = ""
		}
	}
	return all, nil
}

// putOff is nil when mail for a user is refused for the time being.
func putOff(host, port string, who user) error {
	err := mailTo(host, port, "In the window", who.name)
	if reply, ok := errors.AsType[*textproto.Error](err); !ok || reply.Code/100 != 4 {
		return errors.Join(fmt.Errorf("mail for %s at %s is not put off", who.name, host), err)
	}
	return nil
}

func backEndDown(ctx context.Context, c *cluster) error {
	c.backs[0].kill()
	if err := expect(readIMAP, c.front(1), alice, "T NO [UNAVAILABLE]"); err != nil {
		return err
	}
	if err := expect(readPOP3, c.front(1), alice, "-ERR [SYS/TEMP]"); err != nil {
		return err
	}
	if err := expect(readIMAP, c.front(1), bob, "Kept at back end 2"); err != nil {
		return err
	}
	if err := putOff(c.front(1), "1025", alice); err != nil {
		return err
	}
	if err := c.startBack(ctx, 1); err != nil {
		return err
	}
	return eventually(ctx, func() error { return expect(readIMAP, c.front(1), alice, "Kept at back end 1") })
}
