//! How a row's key is made from its columns.

/// A parsed template such as `user:{id}`: texts and columns, with at least one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Column(String),
}

impl KeyTemplate {
    /// Reads `{column}`, with `{{` and `}}` for braces.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '{' | '}' if rest.peek() == Some(&character) => {
                    rest.next();
                    text.push(character);
                }
                '{' => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Column(column(&mut rest)?));
                }
                '}' => return Err("there is a } without a {; }} stands for a brace".into()),
                other => text.push(other),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if !parts.iter().any(|part| matches!(part, Part::Column(_))) {
            return Err("it names no column: one stands in braces, such as {id}".into());
        }
        Ok(Self { parts })
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The columns, in the order of the template.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

fn column(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut name = String::new();
    loop {
        match rest.next() {
            Some('}') if name.is_empty() => return Err("there is no column in {}".into()),
            Some('}') => return Ok(name),
            Some('{') => return Err("there is a { within a column's name".into()),
            Some('\0') => return Err("a column's name contains a zero byte".into()),
            Some(character) => name.push(character),
            None => return Err("there is a { without a }".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn column(name: &str) -> Part {
        Part::Column(name.into())
    }

    #[test]
    fn columns_stand_in_braces() {
        let parts = |template| KeyTemplate::parse(template).unwrap().parts;
        assert_eq!(parts("{id}"), [column("id")]);
        assert_eq!(parts("user:{id}"), [text("user:"), column("id")]);
        assert_eq!(
            parts("{tenant}/{id}"),
            [column("tenant"), text("/"), column("id")]
        );
        assert_eq!(
            parts("{{{Odd name}}}!"),
            [text("{"), column("Odd name"), text("}!")]
        );
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for template in ["", "id", "{}", "{id", "id}", "{a{b}", "{{id}}", "}{id}"] {
            assert!(KeyTemplate::parse(template).is_err(), "{template}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_read_as_it_was(before in ".*", after in ".*") {
            let escape = |text: &str| text.replace('{', "{{").replace('}', "}}");
            let template = format!("{}{{id}}{}", escape(&before), escape(&after));
            // "{{{id}" is a brace and a column; "{id}}}" a column and a brace.
            let parsed = KeyTemplate::parse(&template).unwrap();
            let mut all = String::new();
            for part in parsed.parts() {
                match part {
                    Part::Text(text) => all.push_str(text),
                    Part::Column(name) => all.push_str(&format!("<{name}>")),
                }
            }
            prop_assert_eq!(all, format!("{before}<id>{after}"));
        }

        #[test]
        fn no_text_is_too_much(template in ".*") {
            let _ = KeyTemplate::parse(&template);
        }
    }
}
