//! The screen: a line at the top, the plots, the nodes, the memory and the keys, and a line of
//! help. It fits into 80 columns of 24 lines, and uses more where there are more.

use bytesize::ByteSize;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::model::Model;
use super::plots::{self, coloured, short};
use crate::cluster::{GroupCounters, Node};
use crate::output::shown;

/// A smaller screen cannot be read.
const MIN_WIDTH: u16 = 60;
const MIN_HEIGHT: u16 = 16;

/// The line on top, and the one at the bottom.
const LINES: u16 = 2;

/// The columns of numbers beside a node's name, with the blanks before them.
const NODE_NUMBERS: u16 = 6 + 6 + 5 + 5 + 4;

/// The column of a key's owner.
const OWNER: u16 = 10;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Is visible without a colour, too.
const ALARM: Style = Style::new().add_modifier(Modifier::REVERSED);

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        let text = format!("too small: {MIN_WIDTH} columns and {MIN_HEIGHT} lines are needed");
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let tables = tables_height(area.height);
    let [charts, tables] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(tables)]).areas(middle);
    frame.render_widget(Paragraph::new(heading(model)), top);
    plots::draw(frame, model, charts);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
        .spacing(1)
        .areas(tables);
    nodes(frame, model, left);
    let groups = u16::try_from(model.groups().len()).unwrap_or(u16::MAX);
    let memory_height = groups.saturating_add(1).min(tables.height / 2);
    let [memory_area, keys_area] =
        Layout::vertical([Constraint::Length(memory_height), Constraint::Fill(1)]).areas(right);
    memory(frame, model, memory_area);
    keys(frame, model, keys_area);
    frame.render_widget(Paragraph::new(help(model)), bottom);
}

/// The plots have the larger part.
fn tables_height(height: u16) -> u16 {
    (height.saturating_sub(LINES) * 9 / 20).max(6)
}

fn heading(model: &Model) -> Line<'_> {
    let mut spans = vec![Span::styled("gagglectl top", BOLD)];
    if model.paused {
        spans.push(Span::raw("  "));
        spans.push(Span::styled("PAUSED", ALARM));
    }
    if let Some(entry) = &model.entry {
        spans.push(Span::raw(format!("  {entry}")));
    }
    if let Some(cluster) = &model.cluster {
        let all = cluster.nodes.len();
        let up = cluster.nodes.iter().filter(|node| node.reached).count();
        let style = if up < all { ALARM } else { Style::new() };
        spans.push(Span::raw("  "));
        spans.push(Span::styled(format!("{up} of {all} nodes up"), style));
        if !cluster.agrees() {
            spans.push(Span::raw("  "));
            spans.push(Span::styled("RINGS DIFFER", ALARM));
        }
    }
    let group = model.group.as_deref().map(|name| shown(name.as_bytes()));
    spans.push(Span::raw(format!(
        "  group {}",
        group.as_deref().unwrap_or("(all)")
    )));
    spans.push(Span::raw(format!("  last {:.0} min", model.span() / 60.0)));
    Line::from(spans)
}

fn help(model: &Model) -> Line<'_> {
    match &model.error {
        Some(error) => Line::styled(shown(error.as_bytes()), ALARM),
        None => Line::raw("q quit  p pause  g group  up/down node  left/right time"),
    }
}

fn headed(title: String) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .title(Span::styled(title, BOLD))
}

/// Every node, with the chosen one marked.
fn nodes(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let nodes = model.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let nodes: Vec<&Node> = nodes.collect();
    // The chosen node is always visible.
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let chosen = nodes.iter().position(|node| model.is_chosen(node));
    let skip = chosen.map_or(0, |at| (at + 1).saturating_sub(room));
    let name_room = usize::from(area.width.saturating_sub(NODE_NUMBERS + 1));
    let rows = nodes.iter().skip(skip).take(room).map(|node| {
        let mark = if model.is_chosen(node) { ">" } else { " " };
        let name = format!("{mark}{}", fitted(&shown(node.name.as_bytes()), name_room));
        let Some(status) = &node.status else {
            let style = coloured(model, Color::Red).patch(ALARM);
            return Row::new([name, "DOWN".to_owned()]).style(style);
        };
        let rates = model.rates.get(&node.name);
        let gets = rates.map_or("-".to_owned(), |rates| short(rates.gets));
        let hits = rates.and_then(|rates| rates.hit_percent);
        let hits = hits.map_or("-".to_owned(), |hits| format!("{hits:.1}%"));
        let counters = status.counters(model.group.as_deref());
        let rtt = node
            .rtt_seconds
            .map_or("-".to_owned(), |rtt| format!("{:.1}", rtt * 1e3));
        let loads = counters.loads_in_flight.to_string();
        Row::new([name, gets, hits, loads, rtt])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(5),
        Constraint::Length(5),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new([" NODE", "GETS/S", "HITS", "LOADS", "MS"]).style(BOLD))
        .block(headed("nodes".to_owned()));
    frame.render_widget(table, area);
}

/// The end of a name that is too long: the names of nodes often begin alike.
fn fitted(name: &str, room: usize) -> String {
    let length = name.chars().count();
    if length <= room {
        return name.to_owned();
    }
    let end = name.chars().skip(length - room.saturating_sub(1));
    std::iter::once('…').chain(end).collect()
}

/// The memory of each group on all nodes together, with a bar.
fn memory(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let width = usize::from(area.width);
    let mut lines = Vec::new();
    for group in model.groups() {
        let counters = sums(model, &group);
        let (bytes, limit) = (counters.bytes, counters.limit_bytes);
        let text = format!(" {} of {}", iec(bytes), iec(limit),);
        let name: String = shown(group.as_bytes()).chars().take(12).collect();
        let bar = width.saturating_sub(text.chars().count() + 14);
        lines.push(Line::from(vec![
            Span::raw(format!("{name:<12} ")),
            Span::styled(filled(bytes, limit, bar), coloured(model, Color::Green)),
            Span::raw(text),
        ]));
    }
    frame.render_widget(
        Paragraph::new(lines).block(headed("memory of all nodes".to_owned())),
        area,
    );
}

fn sums(model: &Model, group: &str) -> GroupCounters {
    let nodes = model.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let statuses = nodes.filter_map(|node| node.status.as_ref());
    statuses.fold(GroupCounters::default(), |sum, status| {
        sum.plus(&status.counters(Some(group)))
    })
}

/// A bar of characters that every terminal has.
fn filled(part: u64, whole: u64, width: usize) -> String {
    let part = u128::from(part.min(whole)) * width as u128;
    let full = part.checked_div(u128::from(whole)).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(width);
    format!("{}{}", "#".repeat(full), ".".repeat(width - full))
}

fn keys(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some((group, hot)) = &model.hot else {
        frame.render_widget(headed("hottest keys".to_owned()), area);
        return;
    };
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let rows = hot.keys.iter().take(room).map(|key| {
        let name = match &key.key {
            Some(key) => shown(key.as_bytes()),
            // Not UTF-8: as `get --key-encoding base64` takes it.
            None => format!("base64 {}", shown(key.key64.as_bytes())),
        };
        Row::new([
            name,
            short(key.gets_per_second),
            format!("{:.1}%", key.share * 100.0),
            fitted(&shown(key.owner_name.as_bytes()), OWNER.into()),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(OWNER),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["KEY", "GETS/S", "SHARE", "OWNER"]).style(BOLD))
        .block(headed(format!(
            "hottest keys of {}",
            shown(group.as_bytes())
        )));
    frame.render_widget(table, area);
}

fn iec(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec_short().to_string()
}

#[cfg(test)]
mod tests;
