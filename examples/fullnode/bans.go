package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"
)

// listBans answers a line per account or network whose logins are refused for
// a while because it was guessing.
func (c *control) listBans(w http.ResponseWriter, _ *http.Request) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, b := range c.open.logins.throttle.Bans() {
		who := b.User
		if who == "" {
			who = b.Network.String()
		}
		fmt.Fprintf(t, "%s\tuntil %s\n", printable(who), b.Until.Format(time.DateTime))
	}
	return t.Flush()
}

// liftBan ends the bans of an account, or of all networks within one.
func (c *control) liftBan(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("of")
	network, err := netip.ParsePrefix(name)
	if address, failed := netip.ParseAddr(name); failed == nil {
		network, err = address.Prefix(address.BitLen())
	}
	if err == nil {
		fmt.Fprintf(w, "%d bans lifted\n", c.open.logins.throttle.Lift(network))
		return nil
	}
	a, err := c.open.address(r.Context(), name)
	if err != nil {
		return err
	}
	if !c.open.logins.throttle.LiftUser(a.Key()) {
		return fmt.Errorf("%w: %s is not banned", errBadRequest, a)
	}
	return nil
}

// ban is the commands that begin with that word.
func (c *command) ban(args []string) (func(ctx context.Context) error, error) {
	switch {
	case len(args) == 1 && args[0] == "list":
		return c.simple(http.MethodGet, "/bans"), nil
	case len(args) == 2 && args[0] == "lift":
		return c.simple(http.MethodDelete, pathTo("/bans", "", "of", args[1])), nil
	}
	return nil, errors.New("unknown use of ban; -help shows the commands")
}
