"""The part of CVAT's XML that describes labels: skeletons, their points and edges."""

import xml.etree.ElementTree as ET

from hrnet_tf.data.label_tools.labels import Category, Labels, Pair, distinct_pairs
from hrnet_tf.data.label_tools.source import Source
from hrnet_tf.input_files import InputFileError, read_bytes
from hrnet_tf.messages import one_line


class _Tree(ET.TreeBuilder):
    """Refuses a document type, whose entities could fill the memory or read files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type, which CVAT does not write")


def _parse_xml(content: str | bytes, path: str) -> ET.Element:
    """Parses XML without entities. Raises `InputFileError`."""
    try:
        parser = ET.XMLParser(target=_Tree())
        parser.feed(content)
        root: ET.Element = parser.close()
        return root
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputFileError(path, f"is not valid XML: {one_line(error)}") from None


def read_xml(path: str) -> ET.Element:
    """Reads an XML file. Raises `InputFileError`."""
    return _parse_xml(read_bytes(path), path)


def read_labels(root: ET.Element, labels: Labels, source: Source, path: str) -> None:
    """Adds the categories that have skeletons, their keypoints in order, and limbs."""
    described = [*root.iterfind("meta//labels/label")]
    drawings = {}
    for label in described:
        text, parent = label.findtext("name", ""), label.findtext("parent")
        name = source.label(text, "the name of a label")
        if parent:
            whole = source.label(parent, "the parent of a label")
            labels.category(whole).add([name])
        elif label.findtext("type") == "skeleton":
            drawings[name] = label.findtext("svg") or ""
            labels.category(name)
    for name, drawing in drawings.items():
        category = labels.category(name)
        category.limbs = _read_edges(drawing, category, source, path)
        if category.limbs is None:
            labels.unsaid.add("limbs")


def _read_edges(
    drawing: str, category: Category, source: Source, path: str
) -> list[Pair] | None:
    """Pairs of keypoints that the drawing of a skeleton joins; None if it tells none.

    Some drawings know their points by numbers of CVAT's own alone.
    """
    if not drawing.strip():
        return None
    root = _parse_xml(f"<svg>{drawing}</svg>", f"{path}: the drawing of a skeleton")
    nodes = {
        node.get("data-node-id"): source.renamed(node.get("data-label-name", ""))
        for node in root.iterfind(".//{*}circle")
    }
    edges = [
        (nodes.get(line.get("data-node-from")), nodes.get(line.get("data-node-to")))
        for line in root.iterfind(".//{*}line")
    ]
    known = category.keypoints
    limbs = [(str(a), str(b)) for a, b in edges if a in known and b in known]
    if edges and not limbs:
        return None
    return distinct_pairs(limbs)
