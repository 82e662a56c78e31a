//! What it costs to grow, as small plots.

use std::path::{Path, PathBuf};
use std::time::Duration;

use plotters::prelude::*;

use crate::Result;

const SIZE: (u32, u32) = (720, 360);

/// One colour for each line, in their order.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(110, 110, 110),
];

/// Seconds against what grows.
pub(crate) struct Plot {
    /// What its file is called.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// One thing that is measured at several sizes.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) points: Vec<(u32, Duration)>,
}

impl Plot {
    /// Draws it, as SVG.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join(format!("{}.svg", self.name));
        let area = SVGBackend::new(&path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let place = |&(x, time): &(u32, Duration)| (f64::from(x), time.as_secs_f64());
        let all = self.lines.iter().flat_map(|line| &line.points).map(place);
        let (right, top) = all.fold((0.0, 0.0), |(x, y): (f64, f64), point| (x.max(point.0), y.max(point.1)));
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..right * 1.02, 0.0..top * 1.15)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc("seconds")
            .label_style(("sans-serif", 13))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            chart
                .draw_series(LineSeries::new(line.points.iter().map(place), colour.stroke_width(2)).point_size(3))?
                .label(&line.what)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 13))
            .draw()?;
        area.present()?;
        drop((chart, area));
        Ok(path)
    }
}
