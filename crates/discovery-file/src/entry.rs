//! An entry of the list.

use std::fmt;

use gaggle_peers::Listed;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use url::{Host, Url};

/// The longest name, and the longest address, in bytes.
const MAX_NAME: usize = 256;
const MAX_ADDRESS: usize = 512;

/// A node, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) address: String,
    pub(crate) name: Option<String>,
    pub(crate) member: Option<bool>,
}

impl Entry {
    /// `scheme` is that of an address without one.
    pub(crate) fn new(address: &str, scheme: &str) -> Result<Self, String> {
        Ok(Self {
            address: base_url(address, scheme)?,
            name: None,
            member: None,
        })
    }

    pub(crate) fn set_name(&mut self, name: &str) -> Result<(), String> {
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(odd) {
            let name = quoted(name);
            return Err(format!(
                "name {name}; expected 1 to {MAX_NAME} bytes without white space"
            ));
        }
        self.name = Some(name.to_owned());
        Ok(())
    }

    pub(crate) fn listed(self) -> Listed {
        let mut listed = Listed::new(self.address);
        listed.name = self.name;
        listed.member = self.member;
        listed
    }
}

/// The text of an entry, on one line and with a bounded length.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}

/// The base URL that an address means.
fn base_url(address: &str, scheme: &str) -> Result<String, String> {
    let no_address = |why: &str| {
        Err(format!(
            "{} is no address of a node: {why}",
            quoted(address)
        ))
    };
    if address.is_empty() || address.len() > MAX_ADDRESS {
        return no_address("it is empty or too long");
    }
    if address.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return no_address("it has white space in it");
    }
    let text = if address.contains("://") {
        address.to_owned()
    } else {
        format!("{scheme}://{address}")
    };
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(failure) => return no_address(&failure.to_string()),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return no_address("expected http or https");
    }
    let one_host = match url.host() {
        Some(Host::Domain(name)) => !name.is_empty(),
        Some(Host::Ipv4(ip)) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        Some(Host::Ipv6(ip)) => !(ip.is_unspecified() || ip.is_multicast()),
        None => false,
    };
    if !one_host || url.port() == Some(0) {
        return no_address("no node can be there");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return no_address("expected a scheme, a host and a port only");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return no_address("it has a user in it");
    }
    let text = text.trim_end_matches('/');
    // A half-written address has no port, and a missing port may be a mistake. A URL has its
    // scheme's port.
    if text.len() > address.len() && !ends_in_port(text) {
        return no_address("expected a port, or a scheme before it");
    }
    Ok(text.to_owned())
}

fn ends_in_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Whether two base URLs lead to the same place.
pub(crate) fn place(address: &str) -> String {
    Url::parse(address).map_or_else(|_| address.to_owned(), Into::into)
}

/// Reads entries in JSON, each a string or an object. A problem with an entry is a serde error, so
/// that it has the line.
#[derive(Clone, Copy)]
pub(crate) struct Entries<'s>(pub(crate) &'s str);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Entry>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element_seed(OneEntry(self.0))? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

struct OneEntry<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for OneEntry<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    address: String,
    name: Option<String>,
    member: Option<bool>,
}

impl<'de> Visitor<'de> for OneEntry<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, or an object with address, name and member")
    }

    fn visit_str<E: Error>(self, address: &str) -> Result<Entry, E> {
        Entry::new(address, self.0).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
        let mut entry = Entry::new(&fields.address, self.0).map_err(A::Error::custom)?;
        if let Some(name) = &fields.name {
            entry.set_name(name).map_err(A::Error::custom)?;
        }
        entry.member = fields.member;
        Ok(entry)
    }
}
