package ldap

import "time"

func (c Config) withDefaults() Config {
	if c.Filter == "" {
		c.Filter = "(mail=%e)"
		if c.Type == ActiveDirectory {
			c.Filter = "(&(objectCategory=person)(|(mail=%e)(userPrincipalName=%e)(sAMAccountName=%e)))"
		}
	}
	c.Timeout = orDefault(c.Timeout, 4*time.Second)
	c.Retry = orDefault(c.Retry, 10*time.Second)
	c.Connections = orDefault(c.Connections, 8)
	c.UserBinds = orDefault(c.UserBinds, 8)
	c.MaxEntries = orDefault(c.MaxEntries, 1000)
	c.MaxAnswer = orDefault(c.MaxAnswer, 4<<20)
	c.MaxConcurrency = orDefault(c.MaxConcurrency, 1000)
	c.Poll = orDefault(c.Poll, 10*time.Second)
	c.WatchMemory = orDefault(c.WatchMemory, 64<<20)
	c.Attributes = c.Attributes.withDefaults(c.Type)
	c.Groups = c.Groups.withDefaults(c.Type)
	if c.Groups.Base == "" {
		c.Groups.Base = c.Base
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (a Attributes) withDefaults(t ServerType) Attributes {
	def := Attributes{
		Mail: "mail", Aliases: "mailLocalAddress", Password: "userPassword", Host: "mailHost",
		MemberOf: "memberOf", Member: "member", Login: "uid", Forward: "mailRoutingAddress",
	}
	if t == ActiveDirectory {
		def.Aliases, def.Password, def.Host, def.Login, def.Forward = "proxyAddresses", none, none, "sAMAccountName", none
	}
	of := a.all()
	for i, d := range def.all() {
		if *of[i] == "" {
			*of[i] = *d
		}
		if *of[i] == none {
			*of[i] = ""
		}
	}
	return a
}

// none stands for an attribute that there is not.
const none = "-"

func (a *Attributes) all() []*string {
	return []*string{&a.Mail, &a.Aliases, &a.Password, &a.Host, &a.MemberOf, &a.Member, &a.Login, &a.Forward}
}

// names returns the attributes that a lookup of a user asks for.
func (a Attributes) names() []string {
	var names []string
	for _, name := range []string{a.Mail, a.Aliases, a.Host, a.MemberOf, a.Login, a.Forward} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (g Groups) withDefaults(t ServerType) Groups {
	if g.Filter == "" {
		g.Filter = "(objectClass=groupOfNames)"
		if t == ActiveDirectory {
			g.Filter = "(objectClass=group)"
		}
	}
	g.Depth = orDefault(g.Depth, 10)
	g.Max = orDefault(g.Max, 1000)
	return g
}
