"""The graph editor: Streamlit pages and the canvas."""
