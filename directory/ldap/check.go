package ldap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// maxTimeout bounds Config.Timeout: a login does not wait longer.
const maxTimeout = 10 * time.Minute

// check returns what is wrong with a configuration that has its defaults: the
// first mistake, in one sentence.
func (c *Config) check() error {
	for _, find := range []func() string{c.badServers, c.badBind, c.badNames, c.badAttribute, c.badNumber, c.badChoice} {
		if mistake := find(); mistake != "" {
			return fmt.Errorf("%w: %s", ErrConfig, mistake)
		}
	}
	if err := Filter(c.Filter).Check(); err != nil {
		return err
	}
	if !Filter(c.Filter).names() {
		return fmt.Errorf("%w: filter %q finds the same entries for every user, since it has neither %%e nor %%u", ErrConfig, c.Filter)
	}
	return Filter(c.Groups.Filter).Check()
}

func (c *Config) badServers() string {
	if len(c.URIs) == 0 || len(c.URIs) > 5 {
		return fmt.Sprintf("one to five URIs are needed, and there are %d", len(c.URIs))
	}
	plain := false
	for i, uri := range c.URIs {
		at, err := parseURI(uri)
		if err != nil {
			return fmt.Sprintf("URI %q %v", uri, err)
		}
		if slices.Contains(c.URIs[:i], uri) {
			return fmt.Sprintf("URI %q stands there twice", uri)
		}
		plain = plain || !at.implied && !at.local()
	}
	if c.StartTLS && !plain {
		return "StartTLS is on, and no URI begins with ldap://"
	}
	return ""
}

func (c *Config) badBind() string {
	switch {
	case c.BindDN != "" && c.BindPassword == "":
		return "there is a bind DN and no password, which a server would take for an anonymous bind"
	case c.BindDN == "" && c.BindPassword != "":
		return "there is a bind password and no bind DN"
	case c.Type != ActiveDirectory && !isDN(c.BindDN):
		return fmt.Sprintf("bind DN %q is no distinguished name", c.BindDN)
	}
	return ""
}

func (c *Config) badNames() string {
	if c.Base == "" {
		return "there is no base DN"
	}
	for _, n := range []struct{ what, dn string }{
		{"base DN", c.Base}, {"base DN of groups", c.Groups.Base}, {"required group", c.Groups.Required},
	} {
		if !isDN(n.dn) {
			return fmt.Sprintf("%s %q is no distinguished name", n.what, n.dn)
		}
	}
	if strings.ContainsAny(c.Domain, "@ ") {
		return fmt.Sprintf("domain %q is none", c.Domain)
	}
	return ""
}

func (c *Config) badAttribute() string {
	for _, name := range c.Attributes.all() {
		if *name != "" && !isAttribute(*name) {
			return fmt.Sprintf("%q is no name of an attribute", *name)
		}
	}
	if c.Groups.Required != "" && c.Attributes.Member == "" && c.Attributes.MemberOf == "" {
		return "a group is required, and no attribute says who is in it"
	}
	return ""
}

func (c *Config) badNumber() string {
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		return fmt.Sprintf("timeout %v is not between 0 and %v", c.Timeout, maxTimeout)
	}
	for _, n := range []struct {
		what  string
		value int64
	}{
		{"Retry", int64(c.Retry)}, {"Connections", int64(c.Connections)}, {"UserBinds", int64(c.UserBinds)},
		{"MaxEntries", int64(c.MaxEntries)}, {"MaxAnswer", c.MaxAnswer}, {"MaxConcurrency", int64(c.MaxConcurrency)},
		{"Groups.Depth", int64(c.Groups.Depth)}, {"Groups.Max", int64(c.Groups.Max)},
	} {
		if n.value < 0 {
			return n.what + " is negative"
		}
	}
	return ""
}

func (c *Config) badChoice() string {
	switch {
	case c.Type < Generic || c.Type > ActiveDirectory:
		return fmt.Sprintf("there is no server type %d", c.Type)
	case c.Scope < Subtree || c.Scope > Base:
		return fmt.Sprintf("there is no scope %d", c.Scope)
	case c.Several < SeveralIsError || c.Several > SeveralIsFirst:
		return fmt.Sprintf("there is no way %d to take several entries", c.Several)
	case c.Referrals < IgnoreReferrals || c.Referrals > FollowReferrals:
		return fmt.Sprintf("there is no way %d to take referrals", c.Referrals)
	}
	return ""
}

func isDN(s string) bool {
	_, err := ldap.ParseDN(s)
	return err == nil
}
