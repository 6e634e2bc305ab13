//! Which answers may change by themselves, because a relationship behind them expires.

use std::collections::HashSet;

use super::{Allowed, AllowedKind, Expression, Item, Schema};

impl Schema {
    /// Whether a denial stays one for as long as nothing is written: nothing that expires is ever taken away from what is
    /// allowed.
    pub fn denials_last(&self) -> bool {
        self.items().all(|(object_type, _, item)| match item {
            Item::Relation(_) => true,
            Item::Permission(expression) => self.takes_nothing_that_expires(object_type, expression),
        })
    }

    fn takes_nothing_that_expires(&self, object_type: &str, expression: &Expression) -> bool {
        match expression {
            Expression::Nil | Expression::Own(_) | Expression::Arrow { .. } => true,
            Expression::Union(parts) | Expression::Intersection(parts) => {
                parts.iter().all(|part| self.takes_nothing_that_expires(object_type, part))
            }
            Expression::Exclusion(parts) => {
                let taken = &parts[1.min(parts.len())..];
                parts.iter().all(|part| self.takes_nothing_that_expires(object_type, part))
                    && taken.iter().all(|part| !self.may_expire(object_type, part, &mut HashSet::new()))
            }
        }
    }

    /// Whether some relationship that leads to a yes may expire.
    fn may_expire<'s>(
        &'s self,
        object_type: &'s str,
        expression: &'s Expression,
        seen: &mut HashSet<(&'s str, &'s str)>,
    ) -> bool {
        match expression {
            Expression::Nil => false,
            Expression::Own(name) => self.item_may_expire(object_type, &name.text, seen),
            Expression::Arrow { relation, target } => {
                self.item_may_expire(object_type, &relation.text, seen)
                    || self
                        .allowed(object_type, &relation.text)
                        .iter()
                        .any(|one| self.item_may_expire(&one.object_type.text, &target.text, seen))
            }
            Expression::Union(parts) | Expression::Intersection(parts) | Expression::Exclusion(parts) => {
                parts.iter().any(|part| self.may_expire(object_type, part, seen))
            }
        }
    }

    fn item_may_expire<'s>(
        &'s self,
        object_type: &'s str,
        name: &'s str,
        seen: &mut HashSet<(&'s str, &'s str)>,
    ) -> bool {
        if !seen.insert((object_type, name)) {
            return false;
        }
        match self.item(object_type, name) {
            None => false,
            Some(Item::Permission(expression)) => self.may_expire(object_type, expression, seen),
            Some(Item::Relation(allowed)) => allowed.iter().any(|one| {
                one.expiring
                    || matches!(&one.kind, AllowedKind::Set(name)
                        if self.item_may_expire(&one.object_type.text, &name.text, seen))
            }),
        }
    }

    fn allowed(&self, object_type: &str, relation: &str) -> &[Allowed] {
        match self.item(object_type, relation) {
            Some(Item::Relation(allowed)) => allowed,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::SCHEMA, Schema};

    fn denials_last(permission: &str) -> bool {
        let schema = "\
use expiration
definition user {}
definition group {
    relation member: user
    relation guest: user with expiration
    permission everyone = member + guest
}
definition door {
    relation open: user | user with expiration
    relation shut: user | group#member
    relation away: user with expiration
    relation out: group#everyone
    relation group: group
    permission pass = ";
        Schema::parse(&format!("{schema}{permission}\n}}")).unwrap().denials_last()
    }

    #[test]
    fn only_what_takes_away_and_expires_turns_a_denial() {
        assert!(Schema::parse(SCHEMA).unwrap().denials_last());
        for lasting in ["open", "open - shut", "(open & away) - shut", "group->everyone", "open - group->member"] {
            assert!(denials_last(lasting), "{lasting}");
        }
        for turning in [
            "open - away",
            "open - out",
            "shut + (open - (shut + away))",
            "open - group->everyone",
            "(open - away) - shut",
        ] {
            assert!(!denials_last(turning), "{turning}");
        }
    }
}
