//! [`Value`]: what templates compute with. It has the types of Go that a chart can tell apart, and dictionaries that are
//! shared, since `set` and `merge` change them in place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::budget::Budget;
use crate::failure::Failure;

/// How deep values may be nested where they are walked: a dictionary may contain itself.
pub const MAX_DEPTH: usize = 200;

/// A value.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// An `int`: a literal of a template, a length, an index.
    Int(i64),
    /// An `int64`: what arithmetic returns.
    Int64(i64),
    /// A `float64`: every number of a YAML or JSON document.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// A list, which never changes.
    List(List),
    /// A dictionary, which may be changed through any of its copies.
    Map(Map),
    /// Something with fields and methods of its own.
    Object(Rc<dyn Object>),
}

/// A value with fields and methods of its own, such as `.Files`.
pub trait Object: fmt::Debug {
    /// Returns the name of its type in Go.
    fn type_name(&self) -> &'static str;

    /// Returns a field, or calls a method with arguments; nothing if there is neither.
    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>>;

    /// Returns how an action prints it.
    fn text(&self) -> String;

    /// Returns how functions print it, where that is something else: Go finds its `String` in an action only.
    fn formatted(&self) -> String {
        self.text()
    }

    /// Returns the entries that `range` goes through, if it is a list or a dictionary, and that documents have of it.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// Returns what documents have of it.
    fn plain(&self) -> Value {
        Value::text(self.text())
    }

    /// Returns how TOML writes it, where that is something else than what other documents have of it.
    fn toml(&self) -> Option<String> {
        None
    }
}

/// A list.
#[derive(Clone, Debug, Default)]
pub struct List(Rc<Items>);

#[derive(Debug, Default)]
struct Items(Vec<Value>);

/// A dictionary, sorted by key.
#[derive(Clone, Debug, Default)]
pub struct Map(Rc<Entries>);

#[derive(Debug, Default)]
struct Entries(RefCell<BTreeMap<Rc<str>, Value>>);

// A chain of a million lists would need as many stack frames to be dropped by what the compiler makes. What is inside is
// therefore taken out first, by a loop.
impl Drop for Items {
    fn drop(&mut self) {
        unravel(std::mem::take(&mut self.0));
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        unravel(std::mem::take(self.0.get_mut()).into_values().collect());
    }
}

fn unravel(mut left: Vec<Value>) {
    while let Some(value) = left.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut items) = Rc::into_inner(list.0) {
                    left.append(&mut items.0);
                }
            }
            Value::Map(map) => {
                if let Some(mut entries) = Rc::into_inner(map.0) {
                    left.extend(std::mem::take(entries.0.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

impl List {
    /// Returns the items.
    pub fn items(&self) -> &[Value] {
        &self.0.0
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self(Rc::new(Items(items.into_iter().collect())))
    }
}

impl Map {
    /// Returns an empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an entry.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.0.borrow().get(key).cloned()
    }

    /// Answers whether there is an entry of that key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.0.borrow().contains_key(key)
    }

    /// Adds an entry or puts another in its place.
    pub fn set(&self, key: impl Into<Rc<str>>, value: Value) {
        let before = self.0.0.borrow_mut().insert(key.into(), value);
        // Dropped here: what it holds may lead back to this dictionary.
        drop(before);
    }

    /// Removes an entry.
    pub fn remove(&self, key: &str) {
        let before = self.0.0.borrow_mut().remove(key);
        drop(before);
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.0.borrow().len()
    }

    /// Answers whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entries as they are now, sorted by key.
    pub fn entries(&self) -> Vec<(Rc<str>, Value)> {
        self.0.0.borrow().iter().map(|(key, value)| (Rc::clone(key), value.clone())).collect()
    }

    /// Returns another dictionary with the same entries.
    pub fn shallow_copy(&self) -> Self {
        Self(Rc::new(Entries(RefCell::new(self.0.0.borrow().clone()))))
    }

    /// Answers whether both are the same dictionary.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<K: Into<Rc<str>>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self(Rc::new(Entries(RefCell::new(entries))))
    }
}

impl Value {
    /// Makes a string.
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Makes a list.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Makes a dictionary.
    pub fn map<K: Into<Rc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(entries.into_iter().collect())
    }

    /// Makes an `int` of a length.
    pub fn length(length: usize) -> Self {
        Self::Int(i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// Returns the string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the dictionary, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(list) => Some(list.items()),
            _ => None,
        }
    }

    /// Answers whether it is nothing.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Answers what `if` makes of it.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number) | Self::Int64(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(object) => object.entries().is_none_or(|entries| !entries.is_empty()),
        }
    }

    /// Returns the name of its type in Go.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Object(object) => object.type_name(),
        }
    }

    /// Returns the kind of its type in Go.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Object(object) => match object.entries() {
                Some(_) if object.type_name().ends_with("VersionSet") => "slice",
                Some(_) => "map",
                None if object.type_name().starts_with('*') => "ptr",
                None => "struct",
            },
            other => other.type_name(),
        }
    }

    /// Answers whether both are the same, type and all, as `reflect.DeepEqual` does.
    pub fn deep_equal(&self, other: &Self, budget: &Budget) -> Result<bool, Failure> {
        self.equal_within(other, budget, MAX_DEPTH)
    }

    fn equal_within(&self, other: &Self, budget: &Budget, depth: usize) -> Result<bool, Failure> {
        budget.step()?;
        let depth = depth.checked_sub(1).ok_or_else(Failure::too_deep)?;
        Ok(match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Int64(a), Self::Int64(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                let (a, b) = (a.items(), b.items());
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b) {
                    if !a.equal_within(b, budget, depth)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.is_same(b) {
                    return Ok(true);
                }
                let (a, b) = (a.entries(), b.entries());
                if a.len() != b.len() {
                    return Ok(false);
                }
                for ((a_key, a), (b_key, b)) in a.iter().zip(&b) {
                    if a_key != b_key || !a.equal_within(b, budget, depth)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Object(a), Self::Object(b)) => a.type_name() == b.type_name() && a.text() == b.text(),
            _ => false,
        })
    }

    /// Returns a copy that shares no dictionary with it.
    pub fn deep_copy(&self, budget: &Budget) -> Result<Self, Failure> {
        self.copy_within(budget, MAX_DEPTH)
    }

    fn copy_within(&self, budget: &Budget, depth: usize) -> Result<Self, Failure> {
        budget.step()?;
        let depth = depth.checked_sub(1).ok_or_else(Failure::too_deep)?;
        Ok(match self {
            Self::List(list) => {
                let items = list.items().iter().map(|item| item.copy_within(budget, depth));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Self::Map(map) => {
                let entries = map.entries().into_iter();
                let copies = entries.map(|(key, value)| Ok((key, value.copy_within(budget, depth)?)));
                Self::Map(copies.collect::<Result<_, Failure>>()?)
            }
            other => other.clone(),
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_is_dropped() {
        let mut list = Value::list([]);
        let first = Map::new();
        let mut last = first.clone();
        for _ in 0..300_000 {
            list = Value::list([list]);
            let next = Map::new();
            last.set("next", Value::Map(next.clone()));
            last = next;
        }
        drop((list, first, last));
    }

    #[test]
    fn what_contains_itself_is_an_error() {
        let map = Map::new();
        map.set("self", Value::Map(map.clone()));
        let value = Value::Map(map.clone());
        assert!(value.deep_copy(&Budget::default()).is_err());
        map.remove("self");
    }

    #[test]
    fn what_is_shared_over_and_over_uses_up_the_budget() {
        let mut list = Value::list([]);
        for _ in 0..100 {
            list = Value::list([list.clone(), list]);
        }
        let failure = list.deep_copy(&Budget::default()).expect_err("too much");
        assert!(failure.is_limit(), "{failure}");
    }
}
